//! What a client queued between MULTI and EXEC.

use crate::dispatch::Row;
use smallvec::SmallVec;

/// One request kept for EXEC: its arguments in one allocation.
pub(crate) struct Queued {
    pub(crate) row: &'static Row,
    bytes: Box<[u8]>,
    ends: Box<[usize]>,
}

impl Queued {
    pub(crate) fn new(row: &'static Row, args: &[&[u8]]) -> Queued {
        let mut end = 0;
        let ends = args.iter().map(|arg| {
            end += arg.len();
            end
        });
        Queued { row, ends: ends.collect(), bytes: args.concat().into() }
    }

    /// The arguments, the name first.
    pub(crate) fn args(&self) -> SmallVec<[&[u8]; 8]> {
        let mut start = 0;
        let arg = |end: &usize| {
            let arg = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            arg
        };
        self.ends.iter().map(arg).collect()
    }

    /// Bytes that it costs.
    pub(crate) fn cost(&self) -> usize {
        size_of::<Queued>() + self.bytes.len() + self.ends.len() * size_of::<usize>()
    }
}

/// A queued request with its arguments laid out.
pub(crate) struct OpenedRequest<'a> {
    pub(crate) row: &'static Row,
    pub(crate) args: Vec<&'a [u8]>,
}

/// What EXEC runs: the transaction was taken from the client before.
pub(crate) struct Opened<'a> {
    pub(crate) requests: Vec<OpenedRequest<'a>>,
    /// See [`Transaction::is_aborted`].
    pub(crate) is_aborted: bool,
}

/// An open transaction.
#[derive(Default)]
pub(crate) struct Transaction {
    pub(crate) queued: Vec<Queued>,
    /// A request was refused when it was to be queued: EXEC answers EXECABORT.
    pub(crate) is_aborted: bool,
    /// Sum of [`Queued::cost`].
    pub(crate) cost: usize,
}

impl Transaction {
    pub(crate) fn push(&mut self, queued: Queued) {
        self.cost += queued.cost();
        self.queued.push(queued);
    }

    /// Lays out what EXEC runs.
    pub(crate) fn open(&self) -> Opened<'_> {
        Opened {
            requests: self
                .queued
                .iter()
                .map(|queued| OpenedRequest { row: queued.row, args: queued.args().to_vec() })
                .collect(),
            is_aborted: self.is_aborted,
        }
    }
}
