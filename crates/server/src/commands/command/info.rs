//! COMMAND INFO: rows as arrays of ten fields.

use crate::command::KeyAccess;
use crate::table::listing::{self, KeySpec, Listed};
use crate::table::remarks;
use scrubjay_resp::Reply;

/// One entry per row.
pub(crate) fn describe_all(reply: &mut Reply<'_>, rows: &[Listed]) {
    reply.array(rows.len());
    rows.iter().for_each(|listed| describe(reply, listed));
}

/// One entry per name that was asked for, null for an unknown one.
pub(super) fn describe_named(reply: &mut Reply<'_>, rows: &[Option<Listed>]) {
    reply.array(rows.len());
    for row in rows {
        match row {
            Some(listed) => describe(reply, listed),
            None => reply.null(),
        }
    }
}

fn describe(reply: &mut Reply<'_>, listed: &Listed) {
    let row = listed.row;
    let specs = listing::key_specs(row.keys);
    reply.array(10);
    reply.bulk(listed.full_name.as_bytes());
    reply.integer(i64::from(row.arity));
    super::names(reply, &listing::flag_names(row.flags));
    positions(reply, &specs);
    let categories: Vec<String> = listing::categories(row).iter().map(|category| format!("@{category}")).collect();
    super::names(reply, &categories.iter().map(String::as_str).collect::<Vec<_>>());
    let tips = remarks::of(&listed.full_name).tips;
    reply.set(tips.len());
    for tip in tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(specs.len());
    for spec in &specs {
        key_spec(reply, spec);
    }
    let subcommands: Vec<Listed> = listed.subcommands().collect();
    if subcommands.is_empty() {
        return reply.set(0);
    }
    reply.array(subcommands.len());
    for subcommand in &subcommands {
        describe(reply, subcommand);
    }
}

/// First key, last key and step over all specifications, zeros without keys: what clients read before Redis 7.
fn positions(reply: &mut Reply<'_>, specs: &[KeySpec]) {
    match (specs.first(), specs.last()) {
        (Some(first), Some(last)) => {
            reply.integer(number(first.first));
            reply.integer(i64::from(last.last));
            reply.integer(number(last.step));
        }
        _ => (0..3).for_each(|_| reply.integer(0)),
    }
}

fn key_spec(reply: &mut Reply<'_>, spec: &KeySpec) {
    let is_variable = spec.access == KeyAccess::ReadWriteAccessUpdateVariable;
    reply.map(if is_variable { 4 } else { 3 });
    if is_variable {
        reply.bulk(b"notes");
        reply.bulk(b"The options of a call decide what it does with the key");
    }
    reply.bulk(b"flags");
    super::names(reply, listing::access_flags(spec.access));
    reply.bulk(b"begin_search");
    typed(reply, b"index", &[(b"index", number(spec.first))]);
    // The last key counts from the first one here, unless it counts from the end.
    let last = if spec.last < 0 { i64::from(spec.last) } else { i64::from(spec.last) - number(spec.first) };
    reply.bulk(b"find_keys");
    typed(reply, b"range", &[(b"lastkey", last), (b"keystep", number(spec.step)), (b"limit", 0)]);
}

fn typed(reply: &mut Reply<'_>, kind: &[u8], fields: &[(&[u8], i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind);
    reply.bulk(b"spec");
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name);
        reply.integer(*value);
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
