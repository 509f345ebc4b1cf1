//! How one client is tracked, as CLIENT TRACKING said.

/// When a client's reads are noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Always.
    #[default]
    Every,
    /// Those behind CLIENT CACHING YES (OPTIN).
    OptIn,
    /// All but those behind CLIENT CACHING NO (OPTOUT).
    OptOut,
}

/// How one client is tracked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mode {
    /// The client that the news go to.
    pub(crate) redirect: Option<u64>,
    pub(crate) choice: Choice,
    /// Spares the client news of its own changes.
    pub(crate) is_noloop: bool,
    /// Told of every key under its prefixes, instead of those that it read.
    pub(crate) is_bcast: bool,
    /// Sorted. **Invariant:** no one is a prefix of another, but for the empty one of a plain BCAST. Empty unless `is_bcast`.
    pub(crate) prefixes: Vec<Box<[u8]>>,
}

impl Mode {
    /// Whether client `id`, whose mode this is, does not want to hear of changes that `origin` made.
    pub(crate) fn spares(&self, id: u64, origin: Option<u64>) -> bool {
        self.is_noloop && origin == Some(id)
    }

    /// Whether a read is noted; `is_caching`: CLIENT CACHING was called for it.
    pub(crate) fn notes(&self, is_caching: bool) -> bool {
        !self.is_bcast
            && match self.choice {
                Choice::Every => true,
                Choice::OptIn => is_caching,
                Choice::OptOut => !is_caching,
            }
    }
}
