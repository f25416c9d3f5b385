//! YAML to objects that know on which line each of their fields stands.
//!
//! ```text
//!  text ─► saphyr-parser: events with marks ─► Builder ─► Document { value, place }
//! ```
//!
//! Values are what `kubectl` makes of the same text: YAML 1.2's, and YAML 1.1's `yes`, `no`, `on`, `off`, and
//! merge keys.

mod scalar;

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};

use self::scalar::plain;

/// Deeper than any manifest; what is deeper is not walked.
const DEEPEST: usize = 100;
/// Aliases repeat what they name, and those of those again: more than this is an attack.
const MOST_NODES: usize = 500_000;

/// One object of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub value: Value,
    place: Place,
}

/// Where something stands, and what is in it.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    line: usize,
    inner: Inner,
}

#[derive(Clone, Debug, PartialEq)]
enum Inner {
    Scalar,
    Fields(BTreeMap<String, Place>),
    Items(Vec<Place>),
}

/// What was read of a text.
#[derive(Debug, Default)]
pub struct Source {
    pub documents: Vec<Document>,
    pub faults: Vec<Fault>,
}

/// What is wrong with the text itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub message: String,
    pub kind: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing behind it was read.
    Syntax,
    DuplicateKey,
}

#[derive(Clone)]
struct Node {
    value: Value,
    place: Place,
    /// Itself and everything in it.
    size: usize,
}

enum Frame {
    Mapping {
        open: Open,
        fields: Map<String, Value>,
        places: BTreeMap<String, Place>,
        key: Option<(String, usize)>,
    },
    Sequence {
        open: Open,
        items: Vec<Value>,
        places: Vec<Place>,
    },
}

/// A collection that has not ended yet.
struct Open {
    line: usize,
    anchor: usize,
    size: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    done: Vec<Node>,
    faults: Vec<Fault>,
}

/// Reads all documents of a text; the items of lists are documents of their own.
pub fn read(text: &str) -> Source {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, line) = match event {
            Ok((event, span)) => (event, span.start.line()),
            Err(error) => {
                builder.fault(FaultKind::Syntax, error.marker().line(), error.info());
                break;
            }
        };
        if let Err(message) = builder.take(event, line) {
            builder.fault(FaultKind::Syntax, line, message);
            break;
        }
    }
    let documents = builder.done.into_iter().flat_map(documents_of).collect();
    Source {
        documents,
        faults: builder.faults,
    }
}

/// Empty documents are none.
fn documents_of(node: Node) -> Vec<Document> {
    let Node { value, place, .. } = node;
    let list = value.get("items").is_some_and(Value::is_array)
        && value["kind"]
            .as_str()
            .is_some_and(|kind| kind.ends_with("List"));
    match (value, place.inner) {
        (Value::Null, _) => Vec::new(),
        (Value::Object(mut fields), Inner::Fields(mut places)) if list => {
            match (fields.remove("items"), places.remove("items")) {
                (
                    Some(Value::Array(items)),
                    Some(Place {
                        inner: Inner::Items(places),
                        ..
                    }),
                ) => items
                    .into_iter()
                    .zip(places)
                    .map(|(value, place)| Document { value, place })
                    .collect(),
                _ => Vec::new(),
            }
        }
        (value, inner) => vec![Document {
            value,
            place: Place {
                line: place.line,
                inner,
            },
        }],
    }
}

// === impl Document ===

impl Document {
    /// The first line of the object.
    pub fn first_line(&self) -> usize {
        self.place.line
    }

    /// The line of the field `spec.analysis.metrics[0].name`, or of the nearest around it that is there. An
    /// item of a list may also be named: `freezeWindows[weekend]`.
    pub fn line(&self, path: &str) -> usize {
        let (mut value, mut place) = (&self.value, &self.place);
        for step in steps(path) {
            let inner = match &place.inner {
                Inner::Scalar => None,
                Inner::Fields(places) => places.get(step).zip(value.get(step)),
                Inner::Items(places) => {
                    let index = step.parse().ok().or_else(|| named(value, step));
                    index.and_then(|index: usize| places.get(index).zip(value.get(index)))
                }
            };
            let Some((next, inside)) = inner else { break };
            (place, value) = (next, inside);
        }
        place.line
    }
}

fn named(list: &Value, name: &str) -> Option<usize> {
    list.as_array()?
        .iter()
        .position(|item| item["name"] == name)
}

/// `a.b[0].c[x.y/z]` as `a`, `b`, `0`, `c`, `x.y/z`.
fn steps(path: &str) -> Vec<&str> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let end = inside.find(']').unwrap_or(inside.len());
            steps.push(&inside[..end]);
            rest = inside.get(end + 1..).unwrap_or_default();
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(&rest[..end]);
            rest = &rest[end..];
        }
    }
    steps
}

// === impl Builder ===

impl Builder {
    fn fault(&mut self, kind: FaultKind, line: usize, message: impl Into<String>) {
        self.faults.push(Fault {
            line,
            message: message.into(),
            kind,
        });
    }

    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        if self.open.len() > DEEPEST {
            return Err("it is nested too deeply".to_owned());
        }
        match event {
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                return self.scalar(&text, style, anchor, tag.as_deref(), line);
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let mut node = node.ok_or("an alias of something that has not ended")?;
                node.place.line = line;
                return self.put(node);
            }
            Event::MappingStart(anchor, _) => self.open.push(Frame::Mapping {
                open: Open::new(line, anchor),
                fields: Map::new(),
                places: BTreeMap::new(),
                key: None,
            }),
            Event::SequenceStart(anchor, _) => self.open.push(Frame::Sequence {
                open: Open::new(line, anchor),
                items: Vec::new(),
                places: Vec::new(),
            }),
            Event::MappingEnd | Event::SequenceEnd => return self.end(),
            _ => {}
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        line: usize,
    ) -> Result<(), String> {
        // A key is text, whatever it looks like.
        if let Some(Frame::Mapping { key, .. }) = self.open.last_mut()
            && key.is_none()
        {
            *key = Some((text.to_owned(), line));
            return Ok(());
        }
        let string = tag.is_some_and(|tag| tag.suffix == "str");
        let value = match style {
            ScalarStyle::Plain if !string => plain(text),
            _ => Value::String(text.to_owned()),
        };
        let node = Node {
            value,
            place: Place {
                line,
                inner: Inner::Scalar,
            },
            size: 1,
        };
        self.remember(anchor, &node);
        self.put(node)
    }

    fn end(&mut self) -> Result<(), String> {
        let (open, value, inner) = match self.open.pop() {
            Some(Frame::Mapping {
                open,
                mut fields,
                mut places,
                ..
            }) => {
                merge(&mut fields, &mut places);
                (open, Value::Object(fields), Inner::Fields(places))
            }
            Some(Frame::Sequence {
                open,
                items,
                places,
            }) => (open, Value::Array(items), Inner::Items(places)),
            None => return Ok(()),
        };
        let node = Node {
            value,
            place: Place {
                line: open.line,
                inner,
            },
            size: open.size,
        };
        self.remember(open.anchor, &node);
        self.put(node)
    }

    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    /// Puts a value to where it belongs.
    fn put(&mut self, mut node: Node) -> Result<(), String> {
        let mut twice = None;
        let around = match self.open.last_mut() {
            Some(Frame::Mapping { open, .. } | Frame::Sequence { open, .. }) => {
                open.size += node.size;
                open.size
            }
            None => node.size,
        };
        if around > MOST_NODES {
            return Err("its aliases repeat too much".to_owned());
        }
        match self.open.last_mut() {
            None => self.done.push(node),
            Some(Frame::Sequence { items, places, .. }) => {
                items.push(node.value);
                places.push(node.place);
            }
            Some(Frame::Mapping {
                fields,
                places,
                key,
                ..
            }) => {
                let Some((name, line)) = key.take() else {
                    return Err("a key that is no text".to_owned());
                };
                node.place.line = line;
                if fields.insert(name.clone(), node.value).is_some() {
                    twice = Some((line, format!("key {name:?} is given twice: keep one")));
                }
                places.insert(name, node.place);
            }
        }
        if let Some((line, message)) = twice {
            self.fault(FaultKind::DuplicateKey, line, message);
        }
        Ok(())
    }
}

// === impl Open ===

impl Open {
    fn new(line: usize, anchor: usize) -> Self {
        Self {
            line,
            anchor,
            size: 1,
        }
    }
}

/// `<<` gives what is not said otherwise.
fn merge(fields: &mut Map<String, Value>, places: &mut BTreeMap<String, Place>) {
    let (Some(value), Some(place)) = (fields.remove("<<"), places.remove("<<")) else {
        return;
    };
    let sources = match (value, place.inner) {
        (Value::Array(values), Inner::Items(places)) => values.into_iter().zip(places).collect(),
        (value, inner) => vec![(
            value,
            Place {
                line: place.line,
                inner,
            },
        )],
    };
    for (value, place) in sources {
        if let (Value::Object(more), Inner::Fields(mut where_)) = (value, place.inner) {
            for (key, value) in more {
                if !fields.contains_key(&key)
                    && let Some(place) = where_.remove(&key)
                {
                    places.insert(key.clone(), place);
                    fields.insert(key, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
