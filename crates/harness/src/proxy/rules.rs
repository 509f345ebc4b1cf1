//! What harm is done, to whom, in which direction.

use std::time::Duration;

/// Where bytes go.
///
/// ```
/// assert_ne!(scrubjay_harness::Direction::ToServer, scrubjay_harness::Direction::ToClient);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Requests.
    ToServer,
    /// Replies.
    ToClient,
}

/// The connections that are meant.
///
/// ```
/// use scrubjay_harness::Which;
/// let tracking = Which::saying("CLIENT TRACKING");
/// assert_ne!(tracking, Which::All);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// Those that sent a command that begins with these words.
    Saying(String),
    /// Those that did not.
    NotSaying(String),
}

impl Which {
    /// Those that sent a command that begins with these words: one, or two for commands like `CLIENT TRACKING`.
    pub fn saying(words: &str) -> Which {
        Which::Saying(words.to_ascii_uppercase())
    }

    /// Those that did not send it.
    pub fn not_saying(words: &str) -> Which {
        Which::NotSaying(words.to_ascii_uppercase())
    }

    pub(super) fn means(&self, said: &[String]) -> bool {
        match self {
            Which::All => true,
            Which::Saying(words) => said.iter().any(|said| begins_with(said, words)),
            Which::NotSaying(words) => !said.iter().any(|said| begins_with(said, words)),
        }
    }
}

/// Whether the words of a command begin with these, whole words.
pub(super) fn begins_with(said: &str, words: &str) -> bool {
    said.strip_prefix(words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// What happens to bytes. Where bytes are counted, it is from the moment at which the toxic was added, for each connection alone.
///
/// ```
/// use scrubjay_harness::Toxic;
/// let slow = Toxic::Delay(std::time::Duration::from_millis(20));
/// assert_ne!(slow, Toxic::Stall);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toxic {
    /// Everything arrives later.
    Delay(Duration),
    /// Bytes per second.
    Bandwidth(u64),
    /// In pieces of one byte up to so many.
    Split(u64),
    /// So many bytes arrive, then the connection ends.
    CutAfter(u64),
    /// The connection ends at the nth command (from 1, over all connections that are meant) that begins with these words; `""`
    /// means any. Towards the server: the command does not arrive. Towards the client: it does, and the reply is lost.
    CutAt {
        /// Its first word, or two.
        command: String,
        /// Which of them.
        nth: u64,
    },
    /// This direction says its end (FIN) and carries no more; the other one goes on.
    HalfClose,
    /// Bytes wait until [`crate::Proxy::heal`], as in a network that comes back in time.
    Stall,
    /// Bytes are taken and never arrive. At [`crate::Proxy::heal`] the connection ends.
    Blackhole,
    /// The byte at this place (from 0) arrives as another one.
    Garble {
        /// Its place.
        at: u64,
    },
}

/// A toxic that is on.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) id: u64,
    pub(super) which: Which,
    pub(super) direction: Direction,
    pub(super) toxic: Toxic,
    /// Commands that a [`Toxic::CutAt`] has seen.
    pub(super) seen: u64,
}

/// The toxics that are on, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) all: Vec<Rule>,
    added: u64,
}

impl Rules {
    pub(super) fn add(&mut self, which: Which, direction: Direction, toxic: Toxic) {
        self.added += 1;
        self.all.push(Rule { id: self.added, which, direction, toxic, seen: 0 });
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    /// Those that work on a connection that said this, in this direction.
    pub(super) fn of(&self, said: &[String], direction: Direction) -> impl Iterator<Item = &Rule> {
        self.all.iter().filter(move |rule| rule.direction == direction && rule.which.means(said))
    }
}
