//! A service that turns texts into embeddings, and asks its model only for those that it has not seen.
//!
//! `cargo run --release --example embeddings` looks up 1,000 texts at once, again and again: when nothing is known, when
//! some are new, after a restart, and with a new version of the model. `-- --measure` measures what a lookup costs, with
//! the same vectors as JSON beside it.

mod measure;
mod model;
#[cfg(test)]
mod tests;

use model::Model;
use scrubjay::{NewVector, Vector, VectorNamespace, VectorOptions, VectorStore};
use std::fmt::Write;
use std::path::Path;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Texts in one call of the model, at most.
const TEXTS_PER_CALL: usize = 100;

/// Texts become vectors here.
struct Embedder {
    store: VectorStore,
    namespace: VectorNamespace,
    model: Model,
}

impl Embedder {
    /// The store is the same for all models: each version of each has a namespace of its own.
    fn new(store: &VectorStore, model: Model) -> Result<Embedder, Failure> {
        let namespace = VectorNamespace::of_model(model.name, model.version)?;
        Ok(Embedder { store: store.clone(), namespace, model })
    }

    /// The vectors of these texts, in their order. The model is asked for those that are not there.
    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, Failure> {
        let mut vectors = self.store.get_batch(&self.namespace, texts)?;
        let missing: Vec<usize> = (0..texts.len()).filter(|at| vectors[*at].is_none()).collect();
        for call in missing.chunks(TEXTS_PER_CALL) {
            let asked: Vec<&str> = call.iter().map(|at| texts[*at].as_str()).collect();
            let made = self.model.embed(&asked);
            // What the model said beside the vector is kept beside it.
            let tokens: Vec<String> = asked.iter().map(|text| format!("{{\"tokens\":{}}}", text.len() / 4)).collect();
            let new = made.iter().zip(&tokens).map(|(made, tokens)| NewVector::of(made).metadata(tokens.as_bytes()));
            // Not stored is not lost: it is embedded again.
            self.store.put_batch(&self.namespace, asked.iter().zip(new))?;
            for (at, floats) in call.iter().zip(made) {
                vectors[*at] = Some(Vector::from(floats));
            }
        }
        Ok(vectors.into_iter().flatten().map(Vector::into_floats).collect())
    }

    /// The text whose vector is nearest to this one's, by a walk through all of them.
    fn nearest(&mut self, text: &str) -> Result<Option<String>, Failure> {
        let wanted = self.embed(&[text.to_owned()])?.remove(0);
        let mut best = (f32::MIN, None);
        for found in self.store.get_all(&self.namespace) {
            let (key, vector) = found?;
            let likeness: f32 = wanted.iter().zip(vector.floats()).map(|(a, b)| a * b).sum();
            if key != text.as_bytes() && likeness > best.0 {
                best = (likeness, Some(String::from_utf8(key)?));
            }
        }
        Ok(best.1)
    }
}

/// `count` questions, from the one of that number on.
fn questions(from: usize, count: usize) -> Vec<String> {
    (from..from + count).map(|number| format!("What does a jay do with acorn {number}?")).collect()
}

/// Looks 1,000 texts up in four situations; what each came to.
fn walk(folder: &Path) -> Result<String, Failure> {
    let mut page = format!("{:<44}{:>8}{:>10}{:>8}\n", "1,000 texts", "found", "embedded", "calls");
    let options = || VectorOptions::bytes(256 << 20);
    let line = |page: &mut String, what: &str, embedder: &mut Embedder, from: usize| -> Result<(), Failure> {
        let (hits, embedded, calls) = (embedder.store.stats().hits, embedder.model.texts, embedder.model.calls);
        let vectors = embedder.embed(&questions(from, 1000))?;
        assert_eq!(vectors.len(), 1000);
        let (hits, embedded) = (embedder.store.stats().hits - hits, embedder.model.texts - embedded);
        writeln!(page, "{what:<44}{hits:>8}{embedded:>10}{:>8}", embedder.model.calls - calls)?;
        Ok(())
    };

    let store = VectorStore::open(folder, options())?;
    let mut embedder = Embedder::new(&store, Model::new("jay-embed", "1"))?;
    line(&mut page, "nothing is known yet", &mut embedder, 0)?;
    line(&mut page, "the same again", &mut embedder, 0)?;
    line(&mut page, "100 of them are new", &mut embedder, 100)?;
    let nearest = embedder.nearest("What does a jay do with an acorn?")?;
    store.close()?;

    let store = VectorStore::open(folder, options())?;
    let mut embedder = Embedder::new(&store, Model::new("jay-embed", "1"))?;
    line(&mut page, "after a restart", &mut embedder, 100)?;
    let mut newer = Embedder::new(&store, Model::new("jay-embed", "2"))?;
    line(&mut page, "a new version of the model", &mut newer, 100)?;
    store.clear_namespace(&embedder.namespace)?;
    line(&mut page, "its vectors, when the old ones are cleared", &mut newer, 100)?;
    let stats = store.stats();
    writeln!(page, "\nnamespaces: {:?}", store.namespaces())?;
    writeln!(page, "nearest to a question: {:?}", nearest.unwrap_or_default())?;
    writeln!(page, "hits of this process: {:.1} %, undecodable: {}", 100.0 * stats.hit_ratio(), stats.undecodable)?;
    store.close()?;
    Ok(page)
}

fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    match std::env::args().nth(1).as_deref() {
        None => print!("{}", walk(folder.path())?),
        Some("--measure") => print!("{}", measure::measure(folder.path(), 2000, 31)?),
        Some(other) => return Err(format!("{other:?} is no option, --measure is the only one").into()),
    }
    Ok(())
}
