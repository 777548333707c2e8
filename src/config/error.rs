//! The mistakes of a configuration, all in one go: each with its file, line, caret and what to write instead.
//! What could be a secret is blotted out of the lines shown.

use super::place::{Kind, Mark, Node, inside};
use std::cell::RefCell;
use std::fmt::{Display, Formatter};

/// Characters of a source line shown around a caret.
const SHOWN_CHARS_MAX: usize = 160;
/// Keys of the main file whose scalars may be secrets.
const SECRET_KEYS: [&str; 5] = ["value:", "password:", "token:", "secret:", "key:"];

/// Every mistake found, sorted by file and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    mistakes: Vec<Mistake>,
}

impl ConfigErrors {
    /// The mistakes, in order of files and lines.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl std::error::Error for ConfigErrors {}

impl Display for ConfigErrors {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (place, mistake) in self.mistakes.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, naming the value.
    pub message: String,
    /// What to write instead; may be empty.
    pub help: String,
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    length: usize,
    source: String,
    file_place: usize,
}

impl Display for Mistake {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        if self.line == 0 {
            writeln!(f, " --> {}", self.file)?;
            return if self.help.is_empty() {
                Ok(())
            } else {
                writeln!(f, "  = help: {}", self.help)
            };
        }
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let (source, column) = self.shown();
        let room = source.chars().count().saturating_sub(column - 1).max(1);
        let carets = "^".repeat(self.length.clamp(1, room));
        writeln!(f, "{gutter}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{}", format!("{number} | {source}").trim_end())?;
        writeln!(f, "{gutter} | {}{carets}", " ".repeat(column - 1))?;
        if !self.help.is_empty() {
            writeln!(f, "{gutter} = help: {}", self.help)?;
        }
        Ok(())
    }
}

impl Mistake {
    /// The source line and the column in it, cropped around the caret when the line is long.
    fn shown(&self) -> (String, usize) {
        let column = self.column.max(1);
        if self.source.chars().count() <= SHOWN_CHARS_MAX {
            return (self.source.clone(), column);
        }
        let start = column.saturating_sub(SHOWN_CHARS_MAX / 2);
        let piece: String = self.source.chars().skip(start).take(SHOWN_CHARS_MAX).collect();
        (format!("…{piece}…"), column - start + 1)
    }
}

/// A file with its places.
#[derive(Debug)]
pub struct Page {
    /// Name shown.
    pub name: String,
    /// Place among the files.
    pub place: usize,
    /// Content.
    pub text: String,
    /// Places, those of included files among them.
    pub tree: Node,
    /// The files it includes.
    pub included: Vec<Self>,
}

/// Collects mistakes.
#[derive(Debug, Default)]
pub struct Report {
    mistakes: RefCell<Vec<Mistake>>,
}

impl Report {
    /// Notes a mistake at a mark of a page.
    pub fn push(&self, page: &Page, mark: Mark, message: impl Into<String>, help: impl Into<String>) {
        let source = blotted(page, mark.line);
        self.mistakes.borrow_mut().push(Mistake {
            message: message.into(),
            help: help.into(),
            file: page.name.clone(),
            line: mark.line,
            column: mark.column,
            length: mark.length,
            source,
            file_place: page.place,
        });
    }

    /// Notes a mistake of a whole file.
    pub fn push_file(&self, name: &str, place: usize, message: impl Into<String>, help: impl Into<String>) {
        self.mistakes.borrow_mut().push(Mistake {
            message: message.into(),
            help: help.into(),
            file: name.to_owned(),
            line: 0,
            column: 0,
            length: 0,
            source: String::new(),
            file_place: place,
        });
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.mistakes.borrow().is_empty()
    }

    /// All mistakes, sorted; none when there is none.
    pub fn finish(self) -> Option<ConfigErrors> {
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort_by_key(|mistake| (mistake.file_place, mistake.line, mistake.column));
        mistakes.dedup();
        (!mistakes.is_empty()).then_some(ConfigErrors { mistakes })
    }
}

/// A place that can be complained about.
#[derive(Clone, Copy)]
pub struct At<'load> {
    page: &'load Page,
    report: &'load Report,
    node: &'load Node,
    name: Option<Mark>,
}

impl<'load> At<'load> {
    /// The top of a page.
    pub fn top(page: &'load Page, report: &'load Report) -> Self {
        Self {
            page,
            report,
            node: &page.tree,
            name: None,
        }
    }

    /// The value of a key; this place itself when it has no such key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        let Kind::Map(members) = &self.node.kind else {
            return self;
        };
        members
            .iter()
            .find(|(known, _, _)| known == key)
            .map_or(self, |(_, mark, node)| Self {
                node,
                name: Some(*mark),
                ..self
            })
    }

    /// An item of a list; this place itself when it has no such item.
    #[must_use]
    pub fn item(self, place: usize) -> Self {
        let Kind::List(items) = &self.node.kind else {
            return self;
        };
        items.get(place).map_or(self, |node| Self {
            node,
            name: None,
            ..self
        })
    }

    /// The key's own text instead of its value.
    #[must_use]
    pub fn name(self) -> Name<'load> {
        Name(self)
    }

    /// Says what is wrong here and what to write instead.
    pub fn wrong(self, message: impl Into<String>, help: impl Into<String>) {
        let mark = match (&self.node.kind, self.name) {
            (Kind::Map(_) | Kind::List(_), Some(name)) => name,
            _ => self.node.pointer(),
        };
        self.report.push(self.file(), mark, message, help);
    }

    /// As [`Self::wrong`], about `length` characters from the `offset`-th of this scalar, whose value is `value`.
    pub fn wrong_inside(
        self,
        value: &str,
        (offset, length): (usize, usize),
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let file = self.file();
        let mark = Mark {
            length,
            ..inside(&file.text, self.node.mark, value, offset)
        };
        self.report.push(file, mark, message, help);
    }

    /// The file in which the node stands: the page, or one that it includes.
    fn file(self) -> &'load Page {
        let included = self.page.included.iter().find(|page| page.place == self.node.file);
        included.unwrap_or(self.page)
    }
}

/// The text of a key.
#[derive(Clone, Copy)]
pub struct Name<'load>(At<'load>);

impl Name<'_> {
    /// Says what is wrong with the key and what to write instead.
    pub fn wrong(self, message: impl Into<String>, help: impl Into<String>) {
        match self.0.name {
            Some(mark) => self.0.report.push(self.0.file(), mark, message, help),
            None => self.0.wrong(message, help),
        }
    }
}

/// The line as it may be shown: made-up users' fields, users in URLs, and what follows the key of a secret, are blotted out;
/// columns stay.
fn blotted(page: &Page, line: usize) -> String {
    let text = page.text.lines().nth(line.saturating_sub(1)).unwrap_or("");
    let mut shown: Vec<char> = text.chars().collect();
    if page.place > 0 {
        // Module files hold no secrets.
        return text.to_owned();
    }
    for key in SECRET_KEYS {
        let key: Vec<char> = key.chars().collect();
        for start in 0..shown.len().saturating_sub(key.len()) {
            let whole = start == 0 || !(shown[start - 1].is_alphanumeric() || shown[start - 1] == '_');
            if whole && shown[start..start + key.len()] == key[..] {
                blot(&mut shown, start + key.len());
            }
        }
    }
    blot_url_users(&mut shown);
    let mut marks = Vec::new();
    made_up_fields(&page.tree, &mut marks);
    for mark in marks.iter().filter(|mark| mark.line == line) {
        let end = (mark.column - 1 + mark.length).min(shown.len());
        shown[(mark.column - 1).min(end)..end].fill('*');
    }
    shown.into_iter().collect()
}

/// Blots the plain or quoted scalar that follows a key; references (mappings) and templates stay readable.
fn blot(shown: &mut [char], from: usize) {
    let start = from + shown[from..].iter().take_while(|c| c.is_whitespace()).count();
    let Some(first) = shown.get(start).copied() else { return };
    if matches!(first, '{' | '[' | '#') {
        return;
    }
    let quoted = matches!(first, '"' | '\'');
    let from = start + usize::from(quoted);
    let end = shown[from..]
        .iter()
        .position(|c| if quoted { *c == first } else { matches!(c, ',' | '}') })
        .map_or(shown.len(), |length| from + length);
    let scalar: String = shown[from..end].iter().collect();
    if !scalar.contains("${") {
        shown[from..end].fill('*');
    }
}

/// Blots user and password of `scheme://user:password@host`.
fn blot_url_users(shown: &mut [char]) {
    for start in 0..shown.len() {
        if shown[start..].starts_with(&[':', '/', '/']) {
            let from = start + 3;
            let ends = |c: &char| matches!(c, '/' | '"' | '\'') || c.is_whitespace();
            let length = shown[from..].iter().take_while(|c| !ends(c)).count();
            if let Some(at) = shown[from..from + length].iter().rposition(|c| *c == '@') {
                shown[from..from + at].fill('*');
            }
        }
    }
}

/// Where the fields of made-up users (`users_from`) stand.
fn made_up_fields(node: &Node, marks: &mut Vec<Mark>) {
    match &node.kind {
        Kind::Scalar => {}
        Kind::List(items) => items.iter().for_each(|item| made_up_fields(item, marks)),
        Kind::Map(members) => members
            .iter()
            .for_each(|(key, _, value)| match (key.as_str(), &value.kind) {
                ("fields", Kind::Map(fields)) => marks.extend(fields.iter().map(|(_, _, field)| field.mark)),
                _ => made_up_fields(value, marks),
            }),
    }
}
