//! A program that runs beside us and ends with us.
//!
//! **Invariant:** ended when dropped; and when this process dies without a chance to drop anything, a shell that reads from a
//! pipe of ours sees the end of it and kills the program. By its own id, never by a name.

use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command, Stdio};

/// Waits for a line: it comes when the program was ended in order, and the end of the input when we died first.
const GUARD: &str = "read line || kill -9 \"$1\"";

/// A program that was started here.
pub(crate) struct Running {
    child: Child,
    guard: Child,
}

impl Running {
    /// Starts `command`, its standard input empty. The error is the system's.
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Running> {
        let child = command.stdin(Stdio::null()).spawn()?;
        let id = child.id().to_string();
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard", &id]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let guard = match guard.spawn() {
            Ok(guard) => guard,
            Err(error) => {
                end(child);
                return Err(error);
            }
        };
        Ok(Running { child, guard })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGSTOP: it keeps its sockets and answers nothing.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // An error means that it is gone; whoever speaks to it next hears of that.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to do about a process that is gone already. A stopped one dies of SIGKILL too.
        let _ = self.child.kill();
        // The line first: the guard must not kill an id that `wait` gives back to the system.
        if let Some(mut pipe) = self.guard.stdin.take() {
            let _ = std::io::Write::write_all(&mut pipe, b"\n");
        }
        let _ = self.guard.wait();
        let _ = self.child.wait();
    }
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}
