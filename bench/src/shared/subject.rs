//! Whoever can be measured, and what each can.

use super::store::Store;
use super::turn::{self, Turn};
use super::{clients, ours};

pub(super) struct Subject {
    pub(super) name: &'static str,
    /// Keeps what it read in memory.
    pub(super) keeps: bool,
    /// Keeps it and is told when another process changes it.
    pub(super) is_told: bool,
    /// Keeps it, or can be made to, and is not told.
    pub(super) is_unaware: bool,
    /// Reads several keys in one call.
    pub(super) has_many: bool,
    pub(super) take: fn(&Turn) -> anyhow::Result<()>,
}

impl Subject {
    /// A client that keeps nothing in memory.
    const fn plain<S: Store>(name: &'static str) -> Subject {
        let take = turn::take::<S>;
        Subject { name, keeps: false, is_told: false, is_unaware: false, has_many: true, take }
    }

    /// A client with a memory of its own.
    const fn keeping<S: Store>(name: &'static str, is_told: bool, has_many: bool) -> Subject {
        Subject { name, keeps: true, is_told, is_unaware: !is_told, has_many, take: turn::take::<S> }
    }
}

/// Everyone, ours first.
pub(super) const SUBJECTS: &[Subject] = &[
    Subject { is_unaware: true, ..Subject::keeping::<ours::Ours>("scrubjay", true, true) },
    Subject::plain::<clients::Multiplexed>("redis"),
    Subject::plain::<clients::Managed>("redis-manager"),
    Subject::keeping::<clients::Tracking>("redis-tracking", true, true),
    #[cfg(feature = "shared-peers")]
    Subject::plain::<super::tiered::Fred>("fred"),
    #[cfg(feature = "shared-peers")]
    Subject::keeping::<super::tiered::MokaRedis>("moka+redis", false, true),
    #[cfg(feature = "shared-peers")]
    Subject::keeping::<super::tiered::MultiTier>("multi-tier-cache", true, false),
];

/// The subject of this name.
pub(super) fn subject(name: &str) -> anyhow::Result<&'static Subject> {
    let found = SUBJECTS.iter().find(|subject| subject.name == name);
    found.ok_or_else(|| {
        anyhow::anyhow!("{name}: no such subject; this program was built without it, or it does not exist")
    })
}
