//! A guest of a lab that is made in Rust.

use std::path::PathBuf;
use std::time::Duration;

use toml_edit::{Array, InlineTable, Value};

use super::{Keys, Link, list, time};

/// A guest. Its keys are those of `[guest.NAME]`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Guest {
    pub(super) name: String,
    pub(super) module: PathBuf,
    /// The module, where it is no file.
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) keys: Keys,
}

impl Guest {
    /// A guest from a `.wasm` or `.wat` file, relative to the current folder.
    pub fn new(name: &str, module: impl Into<PathBuf>) -> Guest {
        let module = module.into();
        let mut keys = Keys::default();
        keys.set("module", module.to_string_lossy().into_owned());
        Guest { name: name.to_owned(), module, bytes: None, keys }
    }

    /// A guest from a module in memory, binary or text.
    pub fn from_bytes(name: &str, module: impl Into<Vec<u8>>) -> Guest {
        let bytes = Some(module.into());
        Guest { bytes, ..Guest::new(name, format!("{name}.wasm")) }
    }

    /// Arguments after the program's name.
    pub fn args<'a>(self, args: impl IntoIterator<Item = &'a str>) -> Guest {
        self.set("args", list(args))
    }

    pub fn env<'a>(self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Guest {
        let table: InlineTable = variables.into_iter().collect();
        self.set("env", Value::InlineTable(table))
    }

    /// The switch that it is plugged into.
    pub fn network(self, switch: &str) -> Guest {
        self.set("network", switch)
    }

    /// The cable to its switch; `forward` is from the guest to there.
    pub fn link(self, link: Link) -> Guest {
        self.set("link", link.into_keys().into_inline())
    }

    /// With prefix lengths: `10.0.0.2/24`.
    pub fn addresses<'a>(self, addresses: impl IntoIterator<Item = &'a str>) -> Guest {
        self.set("addresses", list(addresses))
    }

    /// A listener that it is started with: its name, and the address that it is bound to.
    pub fn listener(mut self, name: &str, bind: &str) -> Guest {
        let mut listener = InlineTable::new();
        listener.insert("name", name.into());
        listener.insert("bind", bind.into());
        match self.keys.0.iter_mut().find(|(key, _)| key == "listen") {
            Some((_, Value::Array(listeners))) => listeners.push(listener),
            Some(_) | None => return self.set("listen", Value::Array(Array::from_iter([listener]))),
        }
        self
    }

    /// A folder of the machine that it is handed, and its name for it. It may write there: to a private copy in each run.
    pub fn writable(mut self, path: &str, host: &str) -> Guest {
        let mut folder = InlineTable::new();
        folder.insert("host", host.into());
        folder.insert("writable", true.into());
        match self.keys.0.iter_mut().find(|(key, _)| key == "directories") {
            Some((_, Value::InlineTable(folders))) => drop(folders.insert(path, folder.into())),
            Some(_) | None => {
                let folders = InlineTable::from_iter([(path, Value::InlineTable(folder))]);
                return self.set("directories", Value::InlineTable(folders));
            }
        }
        self
    }

    /// When it starts, after the lab began.
    pub fn start(self, after: Duration) -> Guest {
        self.set("start", time(after))
    }

    /// The lab does not wait for it.
    pub fn background(self) -> Guest {
        self.set("background", true)
    }

    /// So many replicas of it, `NAME-0` and so on.
    pub fn count(self, replicas: u32) -> Guest {
        self.set("count", i64::from(replicas))
    }

    /// Any other key.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Guest {
        self.keys.set(key, value);
        self
    }
}
