//! The small grammar that a row's `syntax` is written in, and the argument tree that COMMAND DOCS answers from it.
//!
//! ```text
//! choice   := sequence ('|' sequence)*
//! sequence := item*
//! item     := TOKEN | value | '[' choice ']' | '<' choice '>' | '...'
//! ```
//! Upper case is a token to be typed as it stands, lower case names a value. `[...]` is optional, `<...>` only groups.
//! A repetition spells out what repeats and ends in dots: `key [key ...]`, `[GET pattern [GET pattern ...]]`.
//!
//! **Invariant:** every row's `syntax` parses; a test says so. This module knows nothing of rows or replies.

#[cfg(test)]
mod tests;

/// What an argument is, in the words of COMMAND DOCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Key,
    String,
    Integer,
    Double,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl Kind {
    /// As COMMAND DOCS spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Key => "key",
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::PureToken => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
        }
    }
}

/// One argument of a command, with the arguments that it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// What is typed before it (or instead of it, for a pure token).
    pub(crate) token: Option<String>,
    pub(crate) is_optional: bool,
    pub(crate) is_multiple: bool,
    /// The token is repeated with every repetition.
    pub(crate) is_multiple_token: bool,
    /// Filled for one-of and block only.
    pub(crate) parts: Vec<Argument>,
}

/// Reads `syntax`. The error says what is wrong with it.
pub(crate) fn parse(syntax: &str) -> Result<Vec<Argument>, String> {
    let words = split(syntax);
    let mut at = 0;
    let choice = read_choice(&words, &mut at)?;
    match (words.get(at), choice.as_slice()) {
        (Some(word), _) => Err(format!("'{word}' closes nothing in: {syntax}")),
        (None, [sequence]) => lower_sequence(sequence),
        (None, _) => Ok(vec![lower_choice(&choice)?]),
    }
}

/// The arguments in the form that was parsed: brackets, not yet meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Word(String),
    Optional(Vec<Vec<Node>>),
    Group(Vec<Vec<Node>>),
    Dots,
}

fn split(syntax: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(syntax.len() * 2);
    for character in syntax.chars() {
        if "[]<>|".contains(character) {
            spaced.extend([' ', character, ' ']);
        } else {
            spaced.push(character);
        }
    }
    spaced.split_whitespace().map(str::to_owned).collect()
}

fn read_choice(words: &[String], at: &mut usize) -> Result<Vec<Vec<Node>>, String> {
    let mut choice = vec![Vec::new()];
    while let Some(word) = words.get(*at) {
        let node = match word.as_str() {
            "]" | ">" => break,
            "|" => {
                choice.push(Vec::new());
                *at += 1;
                continue;
            }
            "[" => Node::Optional(read_bracket(words, at, "]")?),
            "<" => Node::Group(read_bracket(words, at, ">")?),
            "..." => Node::Dots,
            word => Node::Word(word.to_owned()),
        };
        *at += 1;
        if let Some(sequence) = choice.last_mut() {
            sequence.push(node);
        }
    }
    Ok(choice)
}

/// Reads what stands in brackets; `at` is at the opening one before and at the closing one after.
fn read_bracket(words: &[String], at: &mut usize, close: &str) -> Result<Vec<Vec<Node>>, String> {
    *at += 1;
    let choice = read_choice(words, at)?;
    match words.get(*at) {
        Some(word) if word == close => {}
        other => return Err(format!("expected '{close}', found {other:?} in: {}", words.join(" "))),
    }
    if choice.iter().any(Vec::is_empty) {
        return Err(format!("an empty alternative in: {}", words.join(" ")));
    }
    Ok(choice)
}

/// The repeated part when `node` is `[part ...]`.
fn repetition(node: &Node) -> Option<Vec<Vec<Node>>> {
    let Node::Optional(choice) = node else { return None };
    let mut choice = choice.clone();
    let last = choice.last_mut()?;
    (last.pop()? == Node::Dots).then_some(choice)
}

/// Takes `[X ...]` off the end of the choice X: whether there was one.
fn strip_repetition(choice: &mut [Vec<Node>]) -> bool {
    let Some(repeated) = choice.last().and_then(|last| last.last()).and_then(repetition) else { return false };
    let mut once = choice.to_vec();
    if let Some(last) = once.last_mut() {
        last.pop();
    }
    if once != repeated {
        return false;
    }
    choice.clone_from_slice(&once);
    true
}

fn lower_sequence(nodes: &[Node]) -> Result<Vec<Argument>, String> {
    let mut arguments = Vec::new();
    let mut at = 0;
    while at < nodes.len() {
        let (argument, used) = lower_item(&nodes[at..])?;
        at += used;
        arguments.push((argument, used));
        if let Some(repeated) = nodes.get(at).and_then(repetition) {
            let [repeated] = repeated.as_slice() else { return Err("alternatives repeat only as a whole".to_owned()) };
            repeat_tail(&mut arguments, &nodes[..at], repeated)?;
            at += 1;
        }
    }
    Ok(arguments.into_iter().map(|(argument, _)| argument).collect())
}

/// Makes the arguments that `repeated` spells out once more, the last of `before`, one that is multiple.
fn repeat_tail(arguments: &mut Vec<(Argument, usize)>, before: &[Node], repeated: &[Node]) -> Result<(), String> {
    if !before.ends_with(repeated) {
        return Err(format!("what repeats must stand before it: {repeated:?}"));
    }
    let (mut used, mut tail) = (0, Vec::new());
    while used < repeated.len() {
        let Some((argument, nodes)) = arguments.pop() else { break };
        used += nodes;
        tail.insert(0, argument);
    }
    let mut whole = block(tail);
    whole.is_multiple = true;
    whole.is_multiple_token = whole.token.is_some();
    arguments.push((whole, used));
    Ok(())
}

/// The first argument of `nodes`, and how many nodes it took: a token binds the value behind it.
fn lower_item(nodes: &[Node]) -> Result<(Argument, usize), String> {
    match nodes {
        [Node::Word(token), next, ..] if is_token(token) && takes_value(next) => {
            let (mut value, used) = lower_item(&nodes[1..])?;
            if value.token.is_some() {
                value = Argument { parts: vec![value.clone()], name: value.name.clone(), ..argument("", Kind::Block) };
            }
            value.token = Some(token.clone());
            Ok((value, used + 1))
        }
        [Node::Word(word), ..] if is_token(word) => {
            let token = word.trim_matches('"').to_owned();
            Ok((Argument { token: Some(token), ..argument(&word.to_lowercase(), Kind::PureToken) }, 1))
        }
        [Node::Word(word), ..] => Ok((argument(word, kind_of(word)), 1)),
        [Node::Group(choice), ..] => Ok((lower_bracket(choice)?, 1)),
        [Node::Optional(choice), ..] => {
            let mut inner = lower_bracket(choice)?;
            if inner.is_optional {
                inner = Argument { name: inner.name.clone(), parts: vec![inner], ..argument("", Kind::Block) };
            }
            inner.is_optional = true;
            Ok((inner, 1))
        }
        [Node::Dots, ..] => Err("dots outside of brackets".to_owned()),
        [] => Err("an argument is missing".to_owned()),
    }
}

fn lower_bracket(choice: &[Vec<Node>]) -> Result<Argument, String> {
    let mut choice = choice.to_vec();
    let is_multiple = strip_repetition(&mut choice);
    let mut whole = lower_choice(&choice)?;
    if is_multiple {
        whole.is_multiple = true;
        whole.is_multiple_token = whole.token.is_some();
    }
    Ok(whole)
}

fn lower_choice(choice: &[Vec<Node>]) -> Result<Argument, String> {
    let mut alternatives = choice.iter().map(|sequence| lower_alternative(sequence)).collect::<Result<Vec<_>, _>>()?;
    if alternatives.len() == 1 {
        return Ok(alternatives.remove(0));
    }
    Ok(Argument { name: choice_name(&alternatives), parts: alternatives, ..argument("", Kind::OneOf) })
}

/// In brackets a leading token belongs to everything behind it: `[LIMIT offset count]` is one block with a token.
fn lower_alternative(nodes: &[Node]) -> Result<Argument, String> {
    match nodes {
        [Node::Word(token), next, rest @ ..] if is_token(token) && takes_value(next) && !rest.is_empty() => {
            let mut whole = block(lower_sequence(&nodes[1..])?);
            if whole.token.is_some() || whole.is_optional {
                whole = Argument { name: whole.name.clone(), parts: vec![whole], ..argument("", Kind::Block) };
            }
            whole.token = Some(token.clone());
            Ok(whole)
        }
        nodes => Ok(block(lower_sequence(nodes)?)),
    }
}

/// One argument that stands for all of `parts`.
fn block(mut parts: Vec<Argument>) -> Argument {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let is_pairs = parts.iter().all(|part| part.token.is_none() && matches!(part.kind, Kind::String | Kind::Key));
    let name = if is_pairs && parts.len() == 2 { "data".to_owned() } else { joined(&parts) };
    Argument { name, parts, ..argument("", Kind::Block) }
}

fn argument(name: &str, kind: Kind) -> Argument {
    Argument {
        name: name.to_owned(),
        kind,
        token: None,
        is_optional: false,
        is_multiple: false,
        is_multiple_token: false,
        parts: Vec::new(),
    }
}

fn joined(parts: &[Argument]) -> String {
    parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join("-")
}

fn choice_name(alternatives: &[Argument]) -> String {
    let has = |wanted: &str| alternatives.iter().any(|part| part.token.as_deref() == Some(wanted));
    let name = match () {
        () if has("NX") && has("XX") => "condition",
        () if has("EX") && has("PX") => "expiration",
        () if has("BYTE") && has("BIT") => "unit",
        () if has("ASYNC") && has("SYNC") => "flush-type",
        () => return joined(alternatives),
    };
    name.to_owned()
}

/// Typed as it stands: no lower-case letter in it, or quoted.
fn is_token(word: &str) -> bool {
    word.starts_with('"') || !word.chars().any(|character| character.is_ascii_lowercase())
}

/// Whether a token before `node` belongs to it. An option behind a token is an argument of its own.
fn takes_value(node: &Node) -> bool {
    match node {
        Node::Word(word) => !is_token(word),
        Node::Group(_) => true,
        Node::Optional(_) | Node::Dots => false,
    }
}

fn kind_of(name: &str) -> Kind {
    match name {
        "key" | "key1" | "key2" | "newkey" | "destkey" => Kind::Key,
        "pattern" => Kind::Pattern,
        "unix-time-seconds" | "unix-time-milliseconds" => Kind::UnixTime,
        "seconds"
        | "milliseconds"
        | "ttl"
        | "offset"
        | "bit"
        | "start"
        | "end"
        | "increment"
        | "decrement"
        | "cursor"
        | "count"
        | "index"
        | "index1"
        | "index2"
        | "db"
        | "destination-db"
        | "min-match-len"
        | "client-id"
        | "maxage"
        | "timeout"
        | "timeout-milliseconds"
        | "protover"
        | "port"
        | "numreplicas"
        | "numlocal"
        | "frequency"
        | "version"
        | "bits"
        | "len" => Kind::Integer,
        _ => Kind::String,
    }
}
