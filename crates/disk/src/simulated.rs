//! A device in memory that fails as it is told, for tests: of the engine, and of whoever stands on it.
//!
//! It keeps apart what was written and what is durable: [`SimulatedDevice::crash`] gives the device as it may be found
//! after the power failed, [`SimulatedDevice::kill`] as it is after the process died. Any operation can be made to fail, tear,
//! flip bits, lie or stall. All chance comes from one seed, and it knows no time: the same calls in the same order end
//! the same way.

mod faults;
mod world;

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

pub use self::faults::{Fault, Injection, Operation};
use self::faults::{Operations, Plans};
use self::world::{Content, Random, World};
use crate::device::{Device, DeviceFile};

/// A device in memory. A clone is the same device.
#[derive(Clone)]
pub struct SimulatedDevice {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Told when stalled operations may go on.
    released: Condvar,
}

struct State {
    world: World,
    plans: Plans,
    operations: Operations,
    /// How many times stalled operations were released.
    releases: u64,
    stalled: u64,
    is_locked_elsewhere: bool,
    reads_wait: bool,
    alignment: u64,
    bytes_read: u64,
    bytes_written: u64,
    /// What the first [`Fault::Crash`] or [`Fault::Kill`] left.
    image: Option<World>,
}

impl SimulatedDevice {
    /// An empty device whose chance comes from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> SimulatedDevice {
        SimulatedDevice::of(World::new(Random::new(seed)), 1)
    }

    fn of(world: World, alignment: u64) -> SimulatedDevice {
        let state = State {
            world,
            plans: Plans::default(),
            operations: Operations::default(),
            releases: 0,
            stalled: 0,
            is_locked_elsewhere: false,
            reads_wait: false,
            alignment,
            bytes_read: 0,
            bytes_written: 0,
            image: None,
        };
        SimulatedDevice { shared: Arc::new(Shared { state: Mutex::new(state), released: Condvar::new() }) }
    }

    /// Says that writes must be aligned to so many bytes, as a device of direct I/O does. It takes others as well.
    #[must_use]
    pub fn with_alignment(self, alignment: u64) -> SimulatedDevice {
        self.shared.state.lock().alignment = alignment;
        self
    }

    /// The device as it may be found after a power failure now: everything that was synced, and of the rest (sectors, lengths,
    /// names) a part by chance. This one goes on as if nothing had been.
    #[must_use]
    pub fn crash(&self) -> SimulatedDevice {
        let mut state = self.shared.state.lock();
        SimulatedDevice::of(state.world.crashed(), state.alignment)
    }

    /// The device as the next process finds it if this one dies now: with all that was written.
    #[must_use]
    pub fn kill(&self) -> SimulatedDevice {
        let mut state = self.shared.state.lock();
        SimulatedDevice::of(state.world.killed(), state.alignment)
    }

    /// What the first [`Fault::Crash`] or [`Fault::Kill`] left, if it has come.
    #[must_use]
    pub fn take_image(&self) -> Option<SimulatedDevice> {
        let mut state = self.shared.state.lock();
        state.image.take().map(|world| SimulatedDevice::of(world, state.alignment))
    }

    /// Whether a [`Fault::Crash`] or [`Fault::Kill`] has come whose image nobody took.
    #[must_use]
    pub fn has_image(&self) -> bool {
        self.shared.state.lock().image.is_some()
    }

    /// Makes an operation to come go wrong.
    pub fn inject(&self, injection: Injection) {
        self.shared.state.lock().plans.add(injection);
    }

    /// Takes back everything injected and lets stalled operations go on.
    pub fn heal(&self) {
        self.shared.state.lock().plans.clear();
        self.release();
    }

    /// Lets operations that are stalled now go on.
    pub fn release(&self) {
        self.shared.state.lock().releases += 1;
        self.shared.released.notify_all();
    }

    /// Operations that are stalled now.
    #[must_use]
    pub fn stalled(&self) -> u64 {
        self.shared.state.lock().stalled
    }

    /// How many bytes all files together may be long. What would be longer fails with `StorageFull`.
    pub fn set_space(&self, space: Option<u64>) {
        self.shared.state.lock().world.space = space.unwrap_or(u64::MAX);
    }

    /// Whether [`Device::lock`] finds another process there.
    pub fn set_locked_elsewhere(&self, is_locked: bool) {
        self.shared.state.lock().is_locked_elsewhere = is_locked;
    }

    /// Whether a read that must not wait would have to.
    pub fn set_reads_wait(&self, reads_wait: bool) {
        self.shared.state.lock().reads_wait = reads_wait;
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.shared.state.lock().operations.total()
    }

    /// Operations of a kind so far.
    #[must_use]
    pub fn operations_of(&self, operation: Operation) -> u64 {
        self.shared.state.lock().operations.of(operation)
    }

    /// Bytes read so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.shared.state.lock().bytes_read
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.shared.state.lock().bytes_written
    }

    /// The lengths of all files together, and the most that they have ever been.
    #[must_use]
    pub fn bytes_held(&self) -> (u64, u64) {
        let state = self.shared.state.lock();
        (state.world.bytes(), state.world.bytes_max)
    }

    /// What a file holds; `None` if there is none.
    #[must_use]
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        self.shared.state.lock().world.contents(name)
    }

    /// Puts a file there, durably, in the place of one that has the name. It is no operation.
    pub fn set_contents(&self, name: &str, bytes: Vec<u8>) {
        self.shared.state.lock().world.set_contents(name, bytes);
    }

    /// Flips one bit of a file where it lies. It is no operation.
    ///
    /// # Panics
    /// If there is no such file or byte.
    pub fn flip(&self, name: &str, bit: u64) {
        self.shared.state.lock().world.flip(name, bit);
    }

    /// Does an operation, or what is planned in its place.
    fn run<R>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut State, Option<Fault>) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut state = self.shared.state.lock();
        state.operations.count(operation);
        let fault = state.plans.next(operation);
        match fault {
            Some(Fault::Fail) => Err(failure()),
            Some(Fault::Torn) if operation != Operation::Write => Err(failure()),
            Some(Fault::Full) => Err(ErrorKind::StorageFull.into()),
            Some(Fault::Stall) => {
                let releases = state.releases;
                state.stalled += 1;
                while state.releases == releases {
                    self.shared.released.wait(&mut state);
                }
                state.stalled -= 1;
                act(&mut state, None)
            }
            Some(Fault::Crash | Fault::Kill) if state.image.is_none() => {
                // A write of which a part is durable is among what a crash may leave after it.
                let comes_first = operation != Operation::Write && state.world.random.is_one_in(2);
                if comes_first {
                    state.take_image(fault);
                }
                let result = act(&mut state, fault);
                if !comes_first {
                    state.take_image(fault);
                }
                result
            }
            fault => act(&mut state, fault),
        }
    }

    fn file(&self, content: Arc<Mutex<Content>>) -> Arc<dyn DeviceFile> {
        Arc::new(SimulatedFile { device: self.clone(), content })
    }
}

impl State {
    fn take_image(&mut self, fault: Option<Fault>) {
        if self.image.is_none() {
            let is_crash = matches!(fault, Some(Fault::Crash));
            self.image = Some(if is_crash { self.world.crashed() } else { self.world.killed() });
        }
    }
}

/// What a device says that cannot.
fn failure() -> io::Error {
    rustix::io::Errno::IO.into()
}

impl fmt::Debug for SimulatedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        let mut text = f.debug_struct("SimulatedDevice");
        text.field("files", &state.world.list()).field("operations", &state.operations.total()).finish_non_exhaustive()
    }
}

impl Device for SimulatedDevice {
    fn lock(&self) -> io::Result<()> {
        self.run(Operation::Lock, |state, _| match state.is_locked_elsewhere {
            true => Err(io::Error::new(ErrorKind::WouldBlock, "another store has this device open")),
            false => Ok(()),
        })
    }

    fn unlock(&self) {}

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.run(Operation::List, |state, _| Ok(state.world.list()))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DeviceFile>> {
        self.run(Operation::Create, |state, _| Ok(self.file(state.world.create(name, len)?)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DeviceFile>> {
        self.run(Operation::Open, |state, _| Ok(self.file(state.world.open(name)?)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.run(Operation::Remove, |state, _| state.world.remove(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.run(Operation::Rename, |state, _| state.world.rename(from, to))
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.run(Operation::SyncFolder, |state, fault| {
            if !matches!(fault, Some(Fault::Lie)) {
                state.world.sync_folder();
            }
            Ok(())
        })
    }

    fn alignment(&self) -> u64 {
        self.shared.state.lock().alignment
    }
}

/// A file that is open. It stays readable when its name is gone.
struct SimulatedFile {
    device: SimulatedDevice,
    content: Arc<Mutex<Content>>,
}

impl SimulatedFile {
    fn read(&self, state: &mut State, buffer: &mut [u8], offset: u64, fault: Option<Fault>) -> io::Result<()> {
        self.content.lock().read(buffer, offset)?;
        state.bytes_read += buffer.len() as u64;
        if matches!(fault, Some(Fault::Flip)) {
            state.world.random.flip_in(buffer);
        }
        Ok(())
    }
}

impl fmt::Debug for SimulatedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedFile").field("len", &self.content.lock().len()).finish_non_exhaustive()
    }
}

impl DeviceFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        self.device.run(Operation::Len, |_, _| Ok(self.content.lock().len()))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.device.run(Operation::Read, |state, fault| self.read(state, buffer, offset, fault))
    }

    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.device.run(Operation::TryRead, |state, fault| match state.reads_wait {
            true => Err(ErrorKind::WouldBlock.into()),
            false => self.read(state, buffer, offset, fault),
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.device.run(Operation::Write, |state, fault| {
            let written = match fault {
                Some(Fault::Torn | Fault::Kill) => &bytes[..state.world.random.below(bytes.len() + 1)],
                _ => bytes,
            };
            state.world.write(&self.content, written, offset)?;
            state.bytes_written += bytes.len() as u64;
            match fault {
                Some(Fault::Torn) => return Err(failure()),
                Some(Fault::Flip) if !bytes.is_empty() => {
                    let bit = state.world.random.below(bytes.len() * 8);
                    self.content.lock().flip(offset * 8 + bit as u64);
                }
                // The next process finds the part of it; this one goes on with the whole.
                Some(Fault::Kill) => {
                    state.take_image(fault);
                    state.world.write(&self.content, bytes, offset)?;
                }
                _ => {}
            }
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.device.run(Operation::Sync, |_, fault| {
            if !matches!(fault, Some(Fault::Lie)) {
                self.content.lock().sync();
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.device.run(Operation::SetLen, |state, _| state.world.set_len(&self.content, len))
    }
}

#[cfg(test)]
mod tests;
