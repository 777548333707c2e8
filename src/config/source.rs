//! Reads files and parses them into shapes; turns what serde-saphyr objects to into mistakes with our words.

use super::environment::Environment;
use super::error::{Page, Report};
use super::place::{Mark, Node, tree};
use super::without::without;
use super::words::{did_you_mean, one_of};
use crate::limits::{CONFIG_BYTES_MAX, CONFIG_DEPTH_MAX, CONFIG_MISTAKES_OF_SHAPE_MAX, CONFIG_NODES_MAX};
use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Options};
use std::io::ErrorKind;
use std::path::Path;

/// Reads one file; says why when it cannot be read or is no YAML.
pub fn read(environment: &dyn Environment, path: &Path, name: &str, place: usize, report: &Report) -> Option<Page> {
    let bytes = match environment.read(path, CONFIG_BYTES_MAX) {
        Ok(file) => file.bytes,
        Err(error) => {
            let (message, help) = match error.kind() {
                ErrorKind::FileTooLarge => (
                    format!("the file is larger than {CONFIG_BYTES_MAX} bytes"),
                    "split it into several module files",
                ),
                ErrorKind::NotFound => ("there is no such file".to_owned(), "name a file that exists"),
                _ => (format!("cannot be read: {error}"), ""),
            };
            report.push_file(name, place, message, help);
            return None;
        }
    };
    let Ok(text) = String::from_utf8(bytes) else {
        report.push_file(name, place, "the file is not UTF-8", "save it as UTF-8");
        return None;
    };
    let (tree, error) = match tree(&text, place, options()) {
        Ok(tree) => (tree, None),
        Err(error) => (Node::nowhere(), Some(error)),
    };
    let page = Page {
        name: name.to_owned(),
        place,
        text,
        tree,
        included: Vec::new(),
    };
    match error {
        Some(error) => {
            refuse(&error, &page, report);
            None
        }
        None => Some(page),
    }
}

/// Parses a page into its shape; says why when it does not fit. The parser stops at the first entry that does not fit, so
/// that entry is taken out and the rest is looked at again, until all has been said.
pub fn parse<T: DeserializeOwned>(page: &Page, report: &Report) -> Option<T> {
    let mut error = match serde_saphyr::from_str_with_options(&page.text, options()) {
        Ok(shape) => return Some(shape),
        Err(error) => error,
    };
    let mut text = page.text.clone();
    let mut removed: Vec<String> = Vec::new();
    for _ in 0..CONFIG_MISTAKES_OF_SHAPE_MAX {
        if !follows(&error, &removed) {
            refuse(&error, page, report);
        }
        let Ok(tree) = tree(&text, page.place, options()) else {
            break;
        };
        let place = innermost(&error).location().map(Mark::from);
        let Some(taken) = place.and_then(|mark| without(&text, &tree, mark)) else {
            break;
        };
        text = taken.text;
        removed.push(taken.key);
        match serde_saphyr::from_str_with_options::<T>(&text, options()) {
            Ok(_) => break,
            Err(next) => error = next,
        }
    }
    None
}

/// Whether an error says only that an entry which was taken out, or was meant by one, is missing now.
fn follows(error: &Error, removed: &[String]) -> bool {
    let Error::SerdeMissingField { field, .. } = innermost(error) else {
        return false;
    };
    removed
        .iter()
        .any(|key| key == field || did_you_mean(key, [*field]).is_some())
}

/// As [`parse`], for what can be told from a page that does not have its shape.
pub fn parse_quietly<T: DeserializeOwned>(page: &Page) -> Option<T> {
    serde_saphyr::from_str_with_options(&page.text, options()).ok()
}

fn refuse(error: &Error, page: &Page, report: &Report) {
    let error = innermost(error);
    let mark = error.location().map_or_else(|| Node::nowhere().mark, Mark::from);
    let (message, help) = explain(error, page, mark);
    report.push(page, mark, message, help);
}

/// Strict YAML 1.2, bounded: the limits are far above any configuration and far below an alias bomb.
fn options() -> Options {
    let budget = serde_saphyr::budget! {
        max_nodes: CONFIG_NODES_MAX,
        max_depth: CONFIG_DEPTH_MAX,
    };
    let alias_limits = serde_saphyr::alias_limits! {
        max_total_replayed_events: CONFIG_NODES_MAX,
    };
    serde_saphyr::options! {
        budget: budget,
        alias_limits: alias_limits,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        with_snippet: false,
    }
}

fn innermost(mut error: &Error) -> &Error {
    while let Error::WithSnippet { error: inner, .. } | Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    error
}

/// Message and help.
fn explain(error: &Error, page: &Page, mark: Mark) -> (String, String) {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => (
            format!("unknown key `{field}`"),
            did_you_mean(field, expected.iter().copied()).unwrap_or_else(|| one_of(expected.iter().copied())),
        ),
        Error::SerdeMissingField { field, .. } => (
            format!("the key `{field}` is missing"),
            format!("add `{field}: …` here"),
        ),
        Error::SerdeUnknownVariant { variant, expected, .. } => (
            format!("`{variant}` is not known here"),
            did_you_mean(variant, expected.iter().copied()).unwrap_or_else(|| one_of(expected.iter().copied())),
        ),
        Error::DuplicateMappingKey { key, .. } => (
            format!("the key `{}` stands twice in one mapping", key.as_deref().unwrap_or("")),
            "keep one of them".to_owned(),
        ),
        Error::InvalidScalar { ty, .. } => (
            format!("this is not {}", type_name(ty)),
            format!("write {}", type_name(ty)),
        ),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            (format!("this is not {expected}"), format!("write {expected}"))
        }
        Error::Unexpected { expected, .. } => {
            let expected = shape_name(expected);
            (format!("this is not {expected}"), format!("write {expected}"))
        }
        Error::InvalidBooleanStrict { .. } => {
            ("this is not true or false".to_owned(), "write true or false".to_owned())
        }
        Error::NullIntoString { .. } => (
            "there is no text here".to_owned(),
            "write a text, or leave the key out".to_owned(),
        ),
        Error::Eof { .. } if page.text.trim().is_empty() => (
            "the file is empty".to_owned(),
            "write a configuration into it".to_owned(),
        ),
        Error::MultipleDocuments { .. } => (
            "a second YAML document begins here".to_owned(),
            "write one document for each file".to_owned(),
        ),
        Error::AliasReplayLimitExceeded { .. } | Error::Budget { .. } | Error::AliasExpansionLimitExceeded { .. } => (
            format!(
                "the file is too large once its aliases are written out (at most {CONFIG_NODES_MAX} nodes, {CONFIG_DEPTH_MAX} deep)"
            ),
            "use fewer aliases".to_owned(),
        ),
        other => (without_place(&other.to_string(), mark), String::new()),
    }
}

fn type_name(ty: &str) -> &str {
    match ty {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "bool" => "true or false",
        other => other,
    }
}

fn shape_name(expected: &str) -> &str {
    match expected {
        "sequence start" => "a list",
        "mapping start" => "a mapping",
        "string scalar" => "a text",
        other => other,
    }
}

/// serde-saphyr's own text without its place, which the picture shows.
fn without_place(message: &str, mark: Mark) -> String {
    let place = format!(" at line {}, column {}", mark.line, mark.column);
    message.replace(&place, "")
}
