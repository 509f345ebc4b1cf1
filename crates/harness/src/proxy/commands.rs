//! The commands in the bytes of a client, told apart as they pass: no byte is held back for it.

/// Bytes of a word that are kept, and words of a command.
const WORD_LEN_MAX: usize = 32;
const WORDS_MAX: usize = 2;
/// Longest line of lengths, and longest command without lengths.
const LINE_LEN_MAX: usize = 1024;

/// Commands whose second word says what they do.
const CONTAINERS: &[&str] = &["CLIENT", "CLUSTER", "CONFIG", "SCRIPT"];

/// A command that has passed whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Where it began in these bytes; 0 when that was in earlier ones.
    pub(super) start: usize,
    /// Its first word in capitals, or two.
    pub(super) words: String,
}

/// Where in a command the bytes stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// In a line that begins a command: `*3`, or words.
    #[default]
    Start,
    /// In the line with the length of the next word, so many words to come.
    Length { words_left: usize },
    /// In a word (and its line end) of which so many bytes are to come.
    Word { bytes_left: usize, words_left: usize },
    /// This is no RESP (TLS, a mistake): nothing is told apart any more.
    Lost,
}

/// Tells the commands of one connection apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Commands {
    at: At,
    line: Vec<u8>,
    words: Vec<Vec<u8>>,
}

impl Commands {
    /// The commands that end in these bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Command> {
        let mut found = Vec::new();
        let mut start = 0;
        for (place, byte) in bytes.iter().enumerate() {
            if self.is_end(*byte) {
                if let Some(words) = self.take_words() {
                    found.push(Command { start, words });
                }
                start = place + 1;
            }
        }
        found
    }

    /// Whether a command ends with this byte.
    fn is_end(&mut self, byte: u8) -> bool {
        match self.at {
            At::Lost => false,
            At::Word { bytes_left, words_left } => {
                // The last two bytes are the end of the line.
                if let Some(word) = self.words.last_mut()
                    && bytes_left > 2
                    && word.len() < WORD_LEN_MAX
                {
                    word.push(byte);
                }
                self.at = match (bytes_left - 1, words_left) {
                    (0, 0) => At::Start,
                    (0, words_left) => At::Length { words_left },
                    (bytes_left, words_left) => At::Word { bytes_left, words_left },
                };
                self.at == At::Start
            }
            At::Start | At::Length { .. } if byte != b'\n' => {
                self.line.push(byte);
                if self.line.len() > LINE_LEN_MAX {
                    self.at = At::Lost;
                }
                false
            }
            At::Start => self.first_line(),
            At::Length { words_left } => {
                let line = std::mem::take(&mut self.line);
                self.at = match number(&line, b'$') {
                    Some(len) => {
                        // Beyond those that are kept, every word goes where the last one went, which is full by then.
                        if self.words.len() <= WORDS_MAX {
                            self.words.push(Vec::new());
                        }
                        At::Word { bytes_left: len + 2, words_left: words_left - 1 }
                    }
                    None => At::Lost,
                };
                false
            }
        }
    }

    fn first_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        match number(&line, b'*') {
            Some(0) => false,
            Some(words_left) => {
                self.at = At::Length { words_left };
                false
            }
            None if line.first() == Some(&b'*') => {
                self.at = At::Lost;
                false
            }
            None => {
                let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                self.words = words.take(WORDS_MAX).map(<[u8]>::to_vec).collect();
                true
            }
        }
    }

    fn take_words(&mut self) -> Option<String> {
        let words = std::mem::take(&mut self.words);
        let word = |word: &Vec<u8>| String::from_utf8_lossy(word).to_ascii_uppercase();
        let first = words.first().map(word)?;
        let second = words.get(1).map(word).filter(|_| CONTAINERS.contains(&first.as_str()));
        Some(second.map_or(first.clone(), |second| format!("{first} {second}")))
    }
}

/// The number in `*3\r`, of a kind.
fn number(line: &[u8], kind: u8) -> Option<usize> {
    let digits = line.strip_prefix(&[kind])?.strip_suffix(b"\r")?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|number| *number < usize::MAX - 2)
}

#[cfg(test)]
mod tests;
