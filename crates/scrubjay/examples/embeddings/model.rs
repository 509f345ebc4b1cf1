//! A model that is made up: it gives each text a vector of length 1, always the same, and counts how often it is asked.

/// As many as those of common models.
pub(crate) const DIMENSIONS: usize = 1536;

/// A version of a model.
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) calls: u64,
    pub(crate) texts: u64,
}

impl Model {
    pub(crate) fn new(name: &'static str, version: &'static str) -> Model {
        Model { name, version, calls: 0, texts: 0 }
    }

    /// One call: the vectors of these texts. Texts that share words are near to each other.
    pub(crate) fn embed(&mut self, texts: &[&str]) -> Vec<Vec<f32>> {
        self.calls += 1;
        self.texts += texts.len() as u64;
        texts.iter().map(|text| self.vector(text)).collect()
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut sum = vec![0.0_f32; DIMENSIONS];
        for word in text.split_whitespace() {
            let mut state = self.seed(word);
            for float in &mut sum {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                let [.., high, higher] = state.to_le_bytes();
                *float += f32::from(i16::from_le_bytes([high, higher])) / 32_768.0;
            }
        }
        let length = sum.iter().map(|float| float * float).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        sum.iter().map(|float| float / length).collect()
    }

    /// Another version makes other vectors.
    fn seed(&self, word: &str) -> u64 {
        let bytes = self.version.bytes().chain(word.bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |seed: u64, byte| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}
