//! Labs without a file: a scenario made in Rust.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use guestnet::lab::{At, Expect, Guest, Lab, Link};
//!
//! # fn main() -> Result<(), guestnet::scenario::ScenarioError> {
//! let lab = Lab::builder()
//!     .duration(Duration::from_secs(60))
//!     .switch("lan")
//!     .guest(Guest::new("server", "server.wasm").args(["--once"]).network("lan"))
//!     .guest(
//!         Guest::new("client", "client.wasm")
//!             .args(["10.0.0.2"])
//!             .network("lan")
//!             .link(Link::new().delay(Duration::from_millis(20)).loss(0.01)),
//!     )
//!     .at(At::packet("client", "tcp.seq > 100000").down("client:lan"))
//!     .at(At::packet("client", "tcp.seq > 100000").delay(Duration::from_secs(3)).up("client:lan"))
//!     .expect(Expect::guest("client").exit(0).within(Duration::from_secs(30)))
//!     .expect(Expect::never("tcp.flags.reset == 1"))
//!     .build()?;
//! for seed in 1..=100 {
//!     let report = lab.run(seed);
//!     assert!(report.is_success(), "seed {seed}: {report}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What is built is the text of a scenario file, and goes the way of one: the same keys, the same checks, the same
//! mistakes, told with the place in that text ([`LabBuilder::to_toml`] shows it). Keys that have no method here are
//! given by `set`, and tables by [`LabBuilder::toml`]; docs/scenarios.md has them all.

mod entry;
mod expect;
mod guest;
mod link;

pub use entry::{At, Entry};
pub use expect::Expect;
pub use guest::Guest;
pub use link::Link;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml_edit::{Array, InlineTable, Value};

use super::Lab;
use crate::scenario::assets::Assets;
use crate::scenario::{self, ScenarioError};

/// What the text is called in mistakes; paths in it are relative to the current folder.
const PATH: &str = "lab.toml";

/// A lab in the making. Tables stand in its scenario in the order in which they are given.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct LabBuilder {
    /// Keys of the lab itself, which stand first.
    head: Keys,
    tables: String,
    modules: Vec<(PathBuf, Vec<u8>)>,
}

impl Lab {
    /// A lab to be described here, rather than in a file.
    pub fn builder() -> LabBuilder {
        LabBuilder::default()
    }
}

impl LabBuilder {
    /// Shown in reports; `lab` unless it is given.
    pub fn name(self, name: &str) -> Self {
        self.set("name", name)
    }

    /// When the lab is stopped if it does not end by itself.
    pub fn duration(self, duration: Duration) -> Self {
        self.set("duration", time(duration))
    }

    /// Any other key of the lab itself.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.head.set(key, value);
        self
    }

    pub fn switch(self, name: &str) -> Self {
        self.toml(&format!("[switch.{name}]\n"))
    }

    pub fn guest(mut self, guest: Guest) -> Self {
        self.modules.extend(guest.bytes.map(|bytes| (guest.module, bytes)));
        self.table(&format!("[guest.{}]", guest.name), &guest.keys)
    }

    /// A cable between two ports: `GUEST`, `GUEST.INTERFACE`, `ROUTER.INTERFACE` or `SWITCH`.
    pub fn cable(self, name: &str, ends: [&str; 2], link: Link) -> Self {
        let mut keys = Keys::default();
        keys.set("ends", list(ends));
        keys.0.extend(link.into_keys().0);
        self.table(&format!("[link.{name}]"), &keys)
    }

    /// Something that happens while the lab runs.
    pub fn at(self, entry: Entry) -> Self {
        self.table("[[at]]", &entry.keys)
    }

    pub fn expect(self, expect: Expect) -> Self {
        self.table("[[expect]]", &expect.keys)
    }

    /// Tables as a scenario file has them: routers, interfaces, policies.
    pub fn toml(mut self, tables: &str) -> Self {
        self.tables.push_str(tables);
        self.tables.push('\n');
        self
    }

    fn table(mut self, head: &str, keys: &Keys) -> Self {
        let _ = writeln!(self.tables, "{head}\n{}", keys.text());
        self
    }

    /// The scenario that it comes to.
    pub fn to_toml(&self) -> String {
        format!("{}\n{}", self.head.text(), self.tables)
    }

    /// Reads what was described, and the modules that it names. A link's trace is read if all modules are files.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with its place in [`LabBuilder::to_toml`].
    ///
    /// # Panics
    ///
    /// As [`Lab::from_file`].
    pub fn build(self) -> Result<Lab, ScenarioError> {
        let text = self.to_toml();
        let plan = match self.modules.as_slice() {
            [] => scenario::load_text(&text, Path::new(PATH))?,
            _ => scenario::parse(&text, Path::new(PATH))?,
        };
        let assets = Assets::read(&plan);
        let mut lab = Lab::new(plan, assets);
        for (path, bytes) in self.modules {
            lab.set_module(path, bytes);
        }
        Ok(lab)
    }
}

/// Keys of a table, in their order; one that is given again takes the place of the first.
#[derive(Clone, Debug, Default)]
struct Keys(Vec<(String, Value)>);

impl Keys {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    fn text(&self) -> String {
        let line = |(key, value): &(String, Value)| {
            format!("{} = {}\n", toml_edit::Key::new(key), undecorated(value))
        };
        self.0.iter().map(line).collect()
    }

    fn into_inline(self) -> Value {
        Value::InlineTable(self.0.into_iter().collect::<InlineTable>())
    }
}

/// Without the blanks that stood around it elsewhere.
fn undecorated(value: &Value) -> String {
    value.clone().decorated("", "").to_string()
}

/// As scenarios write it.
fn time(duration: Duration) -> String {
    format!("{}ns", duration.as_nanos())
}

fn list<'a>(elements: impl IntoIterator<Item = &'a str>) -> Value {
    Value::Array(elements.into_iter().collect::<Array>())
}
