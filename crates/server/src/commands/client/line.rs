//! The line that CLIENT LIST and CLIENT INFO answer for one client, field by field as Redis 7.2 has it.
//!
//! Sizes are as the owning thread saw them last. Fields of what this server lacks (subscriptions, ACL users) keep Redis' idle value.

use crate::client::Client;
use crate::dispatch;
use crate::registry::{ClientHandle, HandleFlags};
use crate::tracking::Tracking;
use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

/// Letters of the `flags` field, in Redis' order.
const LETTERS: &[(HandleFlags, char)] = &[
    (HandleFlags::MULTI, 'x'),
    (HandleFlags::BLOCKED, 'b'),
    (HandleFlags::PAUSED, 'b'),
    (HandleFlags::TRACKING, 't'),
    (HandleFlags::TRACKING_BROKEN, 'R'),
    (HandleFlags::TRACKING_BCAST, 'B'),
    (HandleFlags::DIRTY, 'd'),
    (HandleFlags::CLOSE_AFTER_REPLY, 'c'),
    (HandleFlags::UNIX_SOCKET, 'U'),
    (HandleFlags::NO_EVICT, 'e'),
    (HandleFlags::NO_TOUCH, 'T'),
];

/// The request that is being answered: what its own client has in the buffer as far as CLIENT LIST goes.
pub(super) struct Own<'a> {
    pub(super) id: u64,
    pub(super) args: &'a [&'a [u8]],
}

impl Own<'_> {
    /// Bytes of the request as it came, if it came as clients send it.
    fn request_len(&self) -> u64 {
        let digits = |number: usize| number.max(1).ilog10() as usize + 1;
        let header = digits(self.args.len()) + 3;
        let args = self.args.iter().map(|arg| digits(arg.len()) + arg.len() + 5).sum::<usize>();
        (header + args) as u64
    }

    fn args_len(&self) -> u64 {
        self.args.iter().map(|arg| arg.len() as u64).sum()
    }
}

/// Appends the line of one client.
pub(super) fn append(text: &mut String, handle: &ClientHandle, own: &Own<'_>, tracking: &Tracking, now_ms: u64) {
    let identity = handle.identity.lock().clone();
    let flags = handle.flags();
    let mut letters: String =
        LETTERS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| letter).collect();
    if letters.is_empty() {
        letters.push('N');
    }
    let row = dispatch::rows().get(usize::from(handle.last_row.load(Relaxed)));
    let own_lens = (own.id == handle.id).then(|| (own.request_len(), own.args_len()));
    let (request_len, args_len) = own_lens.unwrap_or_default();
    let input_len = handle.input_len.load(Relaxed) + request_len;
    let input_capacity = handle.input_capacity.load(Relaxed).max(input_len);
    let (output_len, output_capacity) = (handle.output_len.load(Relaxed), handle.output_capacity.load(Relaxed));
    let redirect = tracking.redirect(handle.id).map_or(-1, u64::cast_signed);
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={letters} db={} sub=0 psub=0 ssub=0 multi={} \
         qbuf={input_len} qbuf-free={} argv-mem={args_len} multi-mem=0 rbs={output_capacity} rbp={output_capacity} obl={output_len} \
         oll=0 omem=0 tot-mem={} events={} cmd={} user={} redir={redirect} resp={} lib-name={} lib-ver={}",
        handle.id,
        handle.address,
        handle.local_address,
        handle.fd,
        String::from_utf8_lossy(&identity.name),
        now_ms.saturating_sub(handle.created_ms) / 1000,
        now_ms.saturating_sub(handle.last_active_ms.load(Relaxed)) / 1000,
        handle.db.load(Relaxed),
        handle.queued_len.load(Relaxed),
        input_capacity - input_len,
        args_len + input_capacity + output_capacity + size_of::<Client>() as u64,
        if output_len > 0 { "rw" } else { "r" },
        row.map_or("NULL", |row| row.full_name.as_str()),
        identity.user,
        handle.protocol.load(Relaxed),
        String::from_utf8_lossy(&identity.lib_name),
        String::from_utf8_lossy(&identity.lib_ver),
    );
}
