//! Where settings come from: a file and what it includes, then the environment, then the arguments; later ones win.
//!
//! Every refusal names the place, the setting, the value and what would be right.

use super::setting::{Kind, Setting};
use super::{Config, ConfigError, quoting, rows};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// How deep files may include files.
const INCLUDE_DEPTH_MAX: usize = 16;
/// Bytes of one file of settings.
const FILE_LEN_MAX: u64 = 16 << 20;
/// What environment variables of ours start with.
const PREFIX: &str = "SCRUBJAY_";

/// What a server is configured from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A file in the manner of redis.conf.
    pub file: Option<PathBuf>,
    /// The environment: names and values; what does not start with `SCRUBJAY_` is passed over.
    pub environment: Vec<(String, String)>,
    /// `--name value ...` and `--name=value`.
    pub arguments: Vec<String>,
}

impl Config {
    /// The defaults, then the file, the environment and the arguments over them.
    pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(file) = &sources.file {
            let mut source = Source::new(&config);
            source.overruled = overruled(sources);
            source.file(file, 0)?;
            config.file = Some(std::path::absolute(file).unwrap_or_else(|_| file.clone()));
        }
        Source::new(&config).environment(&sources.environment)?;
        Source::new(&config).arguments(&sources.arguments)?;
        Ok(config)
    }
}

/// One source being read. Lines of it add up where a setting says so; the first replaces what earlier sources said.
struct Source<'a> {
    config: &'a Config,
    seen: HashSet<usize>,
    /// Settings whose lines say nothing, since a later source wins.
    overruled: HashSet<usize>,
}

impl<'a> Source<'a> {
    fn new(config: &'a Config) -> Source<'a> {
        Source { config, seen: HashSet::new(), overruled: HashSet::new() }
    }

    fn file(&mut self, path: &Path, depth: usize) -> Result<(), ConfigError> {
        let shown = path.display();
        let fail = |why: &dyn std::fmt::Display| ConfigError(format!("cannot read the settings of '{shown}': {why}"));
        let len = std::fs::metadata(path).map_err(|error| fail(&error))?.len();
        if len > FILE_LEN_MAX {
            return Err(fail(&format!("{len} bytes are too many, {FILE_LEN_MAX} are allowed")));
        }
        let content = std::fs::read_to_string(path).map_err(|error| fail(&error))?;
        for (number, line) in content.lines().enumerate() {
            let place = format!("{shown}:{}", number + 1);
            let Some(words) = words_of_line(line).map_err(|why| ConfigError(format!("{place}: {why}")))? else {
                continue;
            };
            let [name, values @ ..] = words.as_slice() else { continue };
            if name.eq_ignore_ascii_case("include") {
                self.include(path, values, depth).map_err(|error| ConfigError(format!("{place}: {error}")))?;
            } else {
                self.set(name, values).map_err(|why| ConfigError(format!("{place}: {why}")))?;
            }
        }
        Ok(())
    }

    /// `include path`: relative to the folder of the file that includes.
    fn include(&mut self, from: &Path, values: &[String], depth: usize) -> Result<(), ConfigError> {
        let [path] = values else { return Err(ConfigError("include: it takes one path".to_owned())) };
        if depth >= INCLUDE_DEPTH_MAX {
            return Err(ConfigError(format!("include: '{path}' is more than {INCLUDE_DEPTH_MAX} files deep")));
        }
        let path = from.parent().unwrap_or(Path::new("")).join(path);
        self.file(&path, depth + 1)
    }

    fn environment(&mut self, variables: &[(String, String)]) -> Result<(), ConfigError> {
        for (variable, value) in variables {
            let Some(name) = variable.strip_prefix(PREFIX) else { continue };
            if is_service_link(name, value) {
                continue;
            }
            let name = name.to_ascii_lowercase().replace('_', "-");
            let kind = rows::find(&name).map(|(_, setting)| setting.kind);
            // One value is taken as it is: quotes in a password are part of it.
            let words = match kind {
                Some(Kind::Words | Kind::Lines | Kind::OutputLimits) => quoting::split(value),
                _ => Some(vec![value.clone()]),
            };
            let words = words.ok_or_else(|| ConfigError(format!("{variable}: unbalanced quotes")))?;
            self.set(&name, &words).map_err(|why| ConfigError(format!("environment variable {variable}: {why}")))?;
        }
        Ok(())
    }

    fn arguments(&mut self, arguments: &[String]) -> Result<(), ConfigError> {
        let mut arguments = arguments.iter().peekable();
        while let Some(argument) = arguments.next() {
            let Some(option) = argument.strip_prefix("--") else {
                return Err(ConfigError(format!("argument '{argument}' is not of the form --name value")));
            };
            let (name, mut values) = match option.split_once('=') {
                Some((name, value)) => (name, vec![value.to_owned()]),
                None => (option, Vec::new()),
            };
            while let Some(value) = arguments.next_if(|next| !next.starts_with("--") && !option.contains('=')) {
                values.push(value.clone());
            }
            let is_flag = rows::find(&name.replace('_', "-")).is_some_and(|(_, setting)| setting.kind == Kind::Bool);
            match values.as_mut_slice() {
                [] if is_flag => values.push("yes".to_owned()),
                [value] if is_flag => *value = yes_or_no(value),
                _ => {}
            }
            self.set(name, &values).map_err(|why| ConfigError(format!("argument --{name}: {why}")))?;
        }
        Ok(())
    }

    /// Sets `name`, whose words may be spelled with underscores, to `values`.
    fn set(&mut self, name: &str, values: &[String]) -> Result<(), String> {
        let found = rows::find(name).or_else(|| rows::find(&name.replace('_', "-")));
        let Some((index, setting)) = found else { return Err(unknown(name)) };
        if self.overruled.contains(&index) {
            return Ok(());
        }
        let is_first = self.seen.insert(index);
        let text = join(setting, values)?;
        let current = self.config.shown(index, setting);
        let text = if setting.kind == Kind::Lines && !is_first { format!("{current} {text}") } else { text };
        let value = setting.parse(text.trim(), &current).map_err(|right| refused(setting, &text, &right))?;
        self.config.store(index, setting, value);
        Ok(())
    }
}

/// Settings that take one value only and that an argument gives: so a redis.conf with `daemonize yes` serves here as it does
/// under systemd, with `--daemonize no` behind it.
fn overruled(sources: &Sources) -> HashSet<usize> {
    let names = sources.arguments.iter().filter_map(|argument| argument.strip_prefix("--"));
    let names = names.map(|option| option.split('=').next().unwrap_or_default().replace('_', "-"));
    let found = names.filter_map(|name| rows::find(&name));
    found.filter(|(_, setting)| setting.only.is_some()).map(|(index, _)| index).collect()
}

/// Reads `lines` of one file, without includes.
pub(super) fn read_lines(config: &Config, lines: &[&str]) -> Result<(), String> {
    let mut source = Source::new(config);
    for line in lines {
        if let Some([name, values @ ..]) = words_of_line(line)?.as_deref() {
            source.set(name, values)?;
        }
    }
    Ok(())
}

/// The words of one line of a file; none for an empty line or a comment.
pub(super) fn words_of_line(line: &str) -> Result<Option<Vec<String>>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    // The rest of the line may be a secret.
    let name = line.split_whitespace().next().unwrap_or_default();
    quoting::split(line).map(Some).ok_or_else(|| format!("the line of '{name}' has unbalanced quotes"))
}

/// The words of a line as one text.
fn join(setting: &Setting, values: &[String]) -> Result<String, String> {
    match (setting.kind, values) {
        (_, []) => Err(format!("{}: a value is missing", setting.name)),
        (Kind::Lines, [empty]) if empty.is_empty() => Ok(String::new()),
        (Kind::Lines, values) if setting.is_hidden => {
            Ok(values.iter().map(|word| quoting::quote(word)).collect::<Vec<_>>().join(" "))
        }
        (Kind::Words | Kind::Lines | Kind::OutputLimits, values) => Ok(values.join(" ")),
        (_, [value]) => Ok(value.clone()),
        (_, values) => {
            let right = "it takes one value, in quotes if there are spaces in it";
            Err(refused(setting, &values.join(" "), right))
        }
    }
}

/// Dragonfly's booleans.
fn yes_or_no(value: &str) -> String {
    match value {
        "true" => "yes",
        "false" => "no",
        value => value,
    }
    .to_owned()
}

/// Variables that Kubernetes and Docker set for a service called `scrubjay`.
fn is_service_link(name: &str, value: &str) -> bool {
    name.starts_with("SERVICE_HOST")
        || name.starts_with("SERVICE_PORT")
        || name.starts_with("PORT_")
        || (name == "PORT" && value.starts_with("tcp://"))
}

/// `unknown setting 'x'; did you mean 'y'?`
pub(super) fn unknown(name: &str) -> String {
    let hint = rows::nearest(name).map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
    format!("unknown setting '{name}'{hint}")
}

/// `name: 'value' is refused: what would be right`.
pub(super) fn refused(setting: &Setting, text: &str, right: &str) -> String {
    match setting.is_secret {
        true => format!("{}: the value is refused: {right}", setting.name),
        false => format!("{}: '{text}' is refused: {right}", setting.name),
    }
}
