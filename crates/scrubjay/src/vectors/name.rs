//! Names of namespaces that say which model made the vectors.
//!
//! Vectors of two models, or of two versions of one, are not comparable, and nothing in them says so: a cache of
//! embeddings whose keys are texts alone serves the old model's vectors after an update, and nobody notices but the search.

use crate::error::Error;
use std::fmt;

/// A namespace's name has at least one byte and at most this many.
pub(super) const NAME_LEN_MAX: usize = 255;

/// A namespace that is named after the model, its version and, if there are some, the tenant: `bge-m3@1.5/acme`.
///
/// The version is whatever changes the vector that a text gets: that of the weights, but also a prompt that is put
/// before the text, a normalisation, a cut to fewer dimensions. The calls of a store take any text as a namespace; this type is
/// for not forgetting a part. Different parts never make the same name: `@`, `/` and `\` stand behind a `\` where they would
/// be taken for what divides the parts.
///
/// ```
/// use scrubjay::VectorNamespace;
///
/// let shared = VectorNamespace::of_model("BAAI/bge-m3", "1.5 normalised")?;
/// assert_eq!(shared.as_str(), "BAAI/bge-m3@1.5 normalised");
///
/// let of_acme = VectorNamespace::of_tenant("BAAI/bge-m3", "1.5 normalised", "acme")?;
/// assert_eq!(of_acme.to_string(), "BAAI/bge-m3@1.5 normalised/acme");
///
/// let error = VectorNamespace::of_model("BAAI/bge-m3", "").unwrap_err();
/// assert_eq!(error.to_string(), "version of the model is \"\", must not be empty");
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VectorNamespace {
    name: Box<str>,
}

impl VectorNamespace {
    /// What a version of a model makes, for everybody.
    ///
    /// # Errors
    /// `Invalid` if a part is empty or contains a zero byte, or the name would be longer than 255 bytes.
    pub fn of_model(model: &str, version: &str) -> Result<VectorNamespace, Error> {
        check_part("model", model)?;
        check_part("version of the model", version)?;
        VectorNamespace::named(format!("{}@{}", escaped(model, "\\@"), escaped(version, "\\/")))
    }

    /// The same for one tenant, whose vectors are cleared apart.
    ///
    /// # Errors
    /// As [`of_model`](VectorNamespace::of_model).
    pub fn of_tenant(model: &str, version: &str, tenant: &str) -> Result<VectorNamespace, Error> {
        check_part("tenant", tenant)?;
        let of_model = VectorNamespace::of_model(model, version)?;
        VectorNamespace::named(format!("{}/{tenant}", of_model.name))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    fn named(name: String) -> Result<VectorNamespace, Error> {
        check_name(&name)?;
        Ok(VectorNamespace { name: name.into() })
    }
}

impl AsRef<str> for VectorNamespace {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for VectorNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Whether a namespace may have that name.
///
/// # Errors
/// `Invalid` says why not.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let len = name.len();
    if !(1..=NAME_LEN_MAX).contains(&len) {
        return Err(Error::invalid(format!("namespace is {len} bytes, must be 1..={NAME_LEN_MAX}")));
    }
    if name.contains('\0') {
        return Err(Error::invalid(format!("namespace is {name:?}, must not contain a zero byte")));
    }
    Ok(())
}

fn check_part(part: &str, text: &str) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::invalid(format!("{part} is \"\", must not be empty")));
    }
    Ok(())
}

/// The text with a `\` before each of these.
fn escaped(text: &str, special: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if special.contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
