//! COMMAND DOCS: what redis-cli prints as help and shows as hints while typing.

use crate::call::Call;
use crate::command::{Command, Keys};
use crate::error::Error;
use crate::table::listing::{self, Listed};
use crate::table::remarks;
use crate::table::syntax::{self, Argument, Kind};
use scrubjay_resp::Reply;

pub(super) fn docs(call: &mut Call<'_>) -> Result<(), Error> {
    let listed: Vec<Listed> = match call.args.get(2..) {
        None | Some([]) => super::answered(call).collect(),
        Some(names) => super::named(call, names).flatten().collect(),
    };
    documents(&mut call.reply, &listed);
    Ok(())
}

/// A map from name to documentation.
fn documents(reply: &mut Reply<'_>, listed: &[Listed]) {
    reply.map(listed.len());
    for one in listed {
        reply.bulk(one.full_name.as_bytes());
        document(reply, one);
    }
}

fn document(reply: &mut Reply<'_>, listed: &Listed) {
    let row = listed.row;
    let deprecated = remarks::of(&listed.full_name).deprecated;
    let arguments = arguments(row);
    let subcommands: Vec<Listed> = listed.subcommands().collect();
    let mut fields = 4;
    fields += if deprecated.is_some() { 3 } else { 0 };
    fields += usize::from(!arguments.is_empty()) + usize::from(!subcommands.is_empty());
    reply.map(fields);
    text(reply, "summary", row.summary);
    text(reply, "since", row.since);
    text(reply, "group", listing::group_name(row.group));
    text(reply, "complexity", row.complexity);
    if let Some((since, instead)) = deprecated {
        reply.bulk(b"doc_flags");
        super::names(reply, &["deprecated"]);
        text(reply, "deprecated_since", since);
        text(reply, "replaced_by", instead);
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        argument_list(reply, &arguments, &mut KeyIndex { keys: row.keys, seen: 0 });
    }
    if !subcommands.is_empty() {
        reply.bulk(b"subcommands");
        documents(reply, &subcommands);
    }
}

/// The arguments of a row. What the grammar cannot know is put right here: which numbers are no integers.
pub(crate) fn arguments(row: &Command) -> Vec<Argument> {
    let mut arguments = syntax::parse(row.syntax).unwrap_or_default();
    for argument in &mut arguments {
        if row.name == "incrbyfloat" && argument.name == "increment" {
            argument.kind = Kind::Double;
        }
        let names_a_key = matches!(argument.name.as_str(), "source" | "destination");
        if names_a_key && row.keys != Keys::None {
            argument.kind = Kind::Key;
        }
    }
    arguments
}

/// Counts the key arguments of a command, since each says which key specification it belongs to.
struct KeyIndex {
    keys: Keys,
    seen: i64,
}

impl KeyIndex {
    fn next(&mut self) -> i64 {
        let is_first = self.seen == 0;
        self.seen += 1;
        i64::from(matches!(self.keys, Keys::FirstAndRest { .. }) && !is_first)
    }
}

fn argument_list(reply: &mut Reply<'_>, arguments: &[Argument], index: &mut KeyIndex) {
    reply.array(arguments.len());
    for argument in arguments {
        argument_map(reply, argument, index);
    }
}

fn argument_map(reply: &mut Reply<'_>, argument: &Argument, index: &mut KeyIndex) {
    let flags = [
        (argument.is_optional, "optional"),
        (argument.is_multiple, "multiple"),
        (argument.is_multiple_token, "multiple_token"),
    ];
    let flags: Vec<&str> = flags.iter().filter(|(is_on, _)| *is_on).map(|(_, name)| *name).collect();
    let is_key = argument.kind == Kind::Key && index.keys != Keys::None;
    let has_display = !matches!(argument.kind, Kind::OneOf | Kind::Block);
    let fields = [has_display, is_key, argument.token.is_some(), !flags.is_empty(), !argument.parts.is_empty()];
    reply.map(2 + fields.iter().filter(|is_there| **is_there).count());
    text(reply, "name", &argument.name);
    text(reply, "type", argument.kind.name());
    if has_display {
        text(reply, "display_text", &argument.name);
    }
    if is_key {
        reply.bulk(b"key_spec_index");
        reply.integer(index.next());
    }
    if let Some(token) = &argument.token {
        text(reply, "token", token);
    }
    if !flags.is_empty() {
        reply.bulk(b"flags");
        super::names(reply, &flags);
    }
    if !argument.parts.is_empty() {
        reply.bulk(b"arguments");
        argument_list(reply, &argument.parts, index);
    }
}

fn text(reply: &mut Reply<'_>, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}
