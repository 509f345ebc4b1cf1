//! What goes wrong, and when: plans that each count the operations that they are for.

/// What is asked of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// [`Device::lock`](crate::Device::lock)
    Lock,
    /// [`Device::list`](crate::Device::list)
    List,
    /// [`Device::create`](crate::Device::create)
    Create,
    /// [`Device::open`](crate::Device::open)
    Open,
    /// [`Device::remove`](crate::Device::remove)
    Remove,
    /// [`Device::rename`](crate::Device::rename)
    Rename,
    /// [`Device::sync_folder`](crate::Device::sync_folder)
    SyncFolder,
    /// [`DeviceFile::len`](crate::DeviceFile::len)
    Len,
    /// [`DeviceFile::read_at`](crate::DeviceFile::read_at)
    Read,
    /// [`DeviceFile::try_read_at`](crate::DeviceFile::try_read_at)
    TryRead,
    /// [`DeviceFile::write_at`](crate::DeviceFile::write_at)
    Write,
    /// [`DeviceFile::sync`](crate::DeviceFile::sync)
    Sync,
    /// [`DeviceFile::set_len`](crate::DeviceFile::set_len)
    SetLen,
}

impl Operation {
    /// All of them, in their order.
    pub const ALL: [Operation; 13] = [
        Operation::Lock,
        Operation::List,
        Operation::Create,
        Operation::Open,
        Operation::Remove,
        Operation::Rename,
        Operation::SyncFolder,
        Operation::Len,
        Operation::Read,
        Operation::TryRead,
        Operation::Write,
        Operation::Sync,
        Operation::SetLen,
    ];
}

/// What goes wrong. An operation that a fault does not know goes well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails (EIO) and does nothing.
    Fail,
    /// It fails for want of space and does nothing.
    Full,
    /// A write does a part, from its beginning, and fails. Any other operation just fails.
    Torn,
    /// A bit of what is read, or of what is written, is another one, and nobody says so.
    Flip,
    /// A sync says that it went well and does nothing.
    Lie,
    /// It goes on only when it is released.
    Stall,
    /// The power fails around it: the image that is left is kept, see [`super::SimulatedDevice::take_image`]. It goes well here.
    Crash,
    /// The process dies around it, with a part of a write done: as with `Crash`.
    Kill,
}

/// When what goes wrong: by default once.
#[derive(Clone, Debug)]
pub struct Injection {
    fault: Fault,
    /// Operations that still go well.
    spared: u64,
    /// After how many more it comes again; 0 for never.
    every: u64,
    only: Option<Vec<Operation>>,
}

impl Injection {
    /// A fault that spares so many operations and then comes once.
    #[must_use]
    pub fn after(spared: u64, fault: Fault) -> Injection {
        Injection { fault, spared, every: 0, only: None }
    }

    /// It comes again at every so-manieth operation: at every single one from its first time on, with 1.
    #[must_use]
    pub fn every(self, every: u64) -> Injection {
        Injection { every, ..self }
    }

    /// Counts and hits only these operations.
    #[must_use]
    pub fn only(self, operations: &[Operation]) -> Injection {
        Injection { only: Some(operations.to_vec()), ..self }
    }
}

/// All that is to go wrong.
#[derive(Debug, Default)]
pub(super) struct Plans {
    injections: Vec<Injection>,
}

impl Plans {
    pub(super) fn add(&mut self, injection: Injection) {
        self.injections.push(injection);
    }

    pub(super) fn clear(&mut self) {
        self.injections.clear();
    }

    /// What goes wrong with the operation that comes now. Each plan counts it; the first that is due has it.
    pub(super) fn next(&mut self, operation: Operation) -> Option<Fault> {
        let mut due = None;
        self.injections.retain_mut(|injection| {
            if injection.only.as_ref().is_some_and(|only| !only.contains(&operation)) {
                return true;
            }
            if injection.spared > 0 {
                injection.spared -= 1;
                return true;
            }
            due = due.or(Some(injection.fault));
            injection.spared = injection.every.saturating_sub(1);
            injection.every > 0
        });
        due
    }
}

/// How often each operation came.
#[derive(Debug, Default)]
pub(super) struct Operations {
    counts: [u64; Operation::ALL.len()],
}

impl Operations {
    pub(super) fn count(&mut self, operation: Operation) {
        self.counts[usize::from(operation as u8)] += 1;
    }

    pub(super) fn of(&self, operation: Operation) -> u64 {
        self.counts[usize::from(operation as u8)]
    }

    pub(super) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}
