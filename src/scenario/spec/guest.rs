//! The tables `[guest.NAME]`.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::address::{self, Endpoint};
use super::super::mistake::{Mistakes, Problem, quote};
use super::super::plan::{DirectoryPlan, StdinPlan};
use super::super::read::{Named, Reader, article, boolean, c_string, check_name, integer, string};
use super::super::units;
use super::interface::{Owner, SHORT_FORM, interface, interfaces, routing};
use super::preopen::{ConnectionSpec, connections};
use super::protocol::{ProtocolSpec, protocols};
use super::unix::{UNIX_INTERFACE, unix_interface};
use super::{InterfaceSpec, ResolverSpec, RoutingSpec, missing, names};
use crate::node::SocketKind;

/// Guests in a lab, replicas counted: each costs the machine about four memory mappings, of which it
/// gives a process some 65,000 by default, so the machine's own limit comes first.
pub(in super::super) const GUESTS_MAX: u64 = 100_000;

/// One page of WebAssembly, and all that 32-bit addresses reach.
const MEMORY_BYTES: std::ops::RangeInclusive<u64> = 65_536..=1 << 32;

/// Half a dozen connections, and more than any machine has.
const BUFFER_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 40;

pub(in super::super) struct GuestSpec {
    pub name: Spanned<String>,
    pub count: Option<Spanned<u64>>,
    /// `None` if it was a mistake. Relative to the scenario's folder, as are all paths here.
    pub module: Option<Spanned<PathBuf>>,
    pub args: Vec<Spanned<String>>,
    pub env: Vec<(String, Spanned<String>)>,
    pub stdin: Option<Spanned<StdinPlan>>,
    pub directories: Vec<Spanned<DirectoryPlan>>,
    /// `eth0` of the guest's own table first.
    pub interfaces: Vec<InterfaceSpec>,
    pub routing: RoutingSpec,
    pub listeners: Vec<ListenerSpec>,
    pub connections: Vec<ConnectionSpec>,
    /// Empty: not given.
    pub protocols: Vec<ProtocolSpec>,
    pub resolver: ResolverSpec,
    pub memory_bytes_max: Option<u64>,
    pub buffer_bytes_max: Option<u64>,
    pub cpu_hz: Option<u64>,
    pub fuel_max: Option<u64>,
    pub descriptors_max: Option<Spanned<usize>>,
    pub linger: Option<Duration>,
    pub start: Option<Spanned<Duration>>,
    pub address_wait: Option<Duration>,
    pub background: bool,
}

pub(in super::super) struct ListenerSpec {
    pub name: Spanned<String>,
    pub protocol: Option<Spanned<String>>,
    pub bind: Spanned<Endpoint>,
    pub kind: SocketKind,
    pub backlog: Option<usize>,
}

pub(super) fn guest(Named { name, table }: Named<'_>, mistakes: &Mistakes) -> GuestSpec {
    let what = format!("guest `{}`", name.get_ref());
    let mut reader = Reader::new(table, what.clone(), mistakes);
    if !reader.has("module") {
        let help = "name its WebAssembly file: `module = \"....wasm\"`";
        missing(mistakes, name.span(), &what, "module", help);
    }
    // In the order of the reference page, which is the order that "known here" tells them in.
    let mut spec = GuestSpec {
        module: reader.get("module", path),
        count: reader.get("count", integer(1..=GUESTS_MAX)),
        args: arguments(&mut reader),
        env: environment(&mut reader),
        stdin: stdin(&mut reader),
        directories: directories(&mut reader),
        interfaces: own_interfaces(&mut reader, &name, &what, "guest"),
        routing: routing(&mut reader),
        listeners: listeners(&mut reader, &what),
        connections: connections(&mut reader, &what),
        protocols: protocols(&mut reader, &what),
        resolver: names::resolver(&mut reader),
        memory_bytes_max: reader.get("memory", memory).map(Spanned::into_inner),
        cpu_hz: reader.get("cpu", units::frequency).map(Spanned::into_inner),
        fuel_max: reader.get("fuel", integer(1..=u64::MAX)).map(Spanned::into_inner),
        descriptors_max: reader.get("descriptors", count(1 << 20)),
        buffer_bytes_max: reader.get("buffers", buffers).map(Spanned::into_inner),
        linger: reader.get("linger", units::duration).map(Spanned::into_inner),
        start: reader.get("start", units::duration),
        address_wait: reader.get("address_wait", units::duration).map(Spanned::into_inner),
        background: reader.get("background", boolean).is_some_and(Spanned::into_inner),
        name,
    };
    reader.finish();
    add_unix(&mut spec, mistakes);
    spec
}

/// The interface that protocols of kind `unix` need, behind the guest's own.
fn add_unix(spec: &mut GuestSpec, mistakes: &Mistakes) {
    let Some(interface) = unix_interface(&spec.protocols, mistakes) else { return };
    let taken = |own: &&InterfaceSpec| own.name.get_ref() == UNIX_INTERFACE;
    if let Some(own) = spec.interfaces.iter().find(taken) {
        let message = format!("interface `{UNIX_INTERFACE}` is that of the protocols of kind unix");
        mistakes.add(own.name.span(), message, "give it another name");
    }
    spec.interfaces.push(interface);
}

/// A whole number from 1 to `most`.
fn count(most: u64) -> impl Fn(&DeValue<'_>) -> Result<usize, Problem> {
    move |value| Ok(usize::try_from(integer(1..=most)(value)?).unwrap_or(usize::MAX))
}

fn memory(value: &DeValue<'_>) -> Result<u64, Problem> {
    let bytes = units::size(value)?;
    if MEMORY_BYTES.contains(&bytes) {
        return Ok(bytes);
    }
    Err(Problem::new(format!("{bytes} bytes is out of range"), "from \"64KiB\" (one page) to \"4GiB\""))
}

fn buffers(value: &DeValue<'_>) -> Result<u64, Problem> {
    let bytes = units::size(value)?;
    if BUFFER_BYTES.contains(&bytes) {
        return Ok(bytes);
    }
    Err(Problem::new(
        format!("{bytes} bytes is out of range"),
        "from \"1MiB\" (some connections) to \"1TiB\"",
    ))
}

pub(super) fn path(value: &DeValue<'_>) -> Result<PathBuf, Problem> {
    let text = c_string(value)?;
    if text.is_empty() {
        return Err(Problem::new("is empty", "a path, relative to the scenario's folder"));
    }
    Ok(PathBuf::from(text))
}

fn arguments(reader: &mut Reader<'_>) -> Vec<Spanned<String>> {
    let value = reader.value("args");
    if let Some(value) = value.filter(|value| !value.get_ref().is_array()) {
        let message = format!("args: {} where a list of strings belongs", article(value.get_ref()));
        reader.mistakes.add(value.span(), message, "write `args = [\"one\", \"two\"]`");
        return Vec::new();
    }
    reader.list("args", c_string).unwrap_or_default()
}

fn environment(reader: &mut Reader<'_>) -> Vec<(String, Spanned<String>)> {
    let mistakes = reader.mistakes;
    let mut env = Vec::new();
    for (name, value) in reader.entries("env") {
        let key = name.get_ref();
        if key.is_empty() || key.contains(['=', '\0']) {
            let message = format!("env: {} cannot name a variable", quote(key));
            mistakes.add(name.span(), message, "a name is not empty and has neither `=` nor NUL in it");
        } else if key == "NETWORKING_FDS" {
            let help = "guestnet sets it: it lists the guest's protocol objects, listeners and connections";
            mistakes.add(name.span(), "env: `NETWORKING_FDS` cannot be set", help);
        }
        match c_string(value.get_ref()) {
            Ok(text) => env.push((name.into_inner(), Spanned::new(value.span(), text))),
            Err(problem) => mistakes.add(value.span(), format!("env: {}", problem.message), problem.help),
        }
    }
    env
}

/// A string, `{ file = "..." }` or `{ inherit = true }`.
fn stdin(reader: &mut Reader<'_>) -> Option<Spanned<StdinPlan>> {
    let mistakes = reader.mistakes;
    let value = reader.value("stdin")?;
    let help = "a string, `{ file = \"...\" }` or `{ inherit = true }`; leave it out for an empty one";
    let table = match value.get_ref() {
        DeValue::String(text) => {
            return Some(Spanned::new(value.span(), StdinPlan::Text(text.clone().into_owned())));
        }
        DeValue::Table(table) => table,
        other => {
            mistakes.add(
                value.span(),
                format!("stdin: {} where a string or table belongs", article(other)),
                help,
            );
            return None;
        }
    };
    let mut inner = Reader::new(table, "`stdin`", mistakes);
    let file = inner.get("file", path);
    let inherit = inner.get("inherit", boolean);
    let written = inner.has("file") || inner.has("inherit");
    inner.finish();
    match (file, inherit.map(Spanned::into_inner)) {
        (Some(_), Some(true)) => {
            mistakes.add(value.span(), "stdin: both a file and inherited", help);
            None
        }
        (Some(file), _) => Some(Spanned::new(file.span(), StdinPlan::File(file.into_inner()))),
        (None, Some(true)) => Some(Spanned::new(value.span(), StdinPlan::Inherit)),
        (None, Some(false)) => Some(Spanned::new(value.span(), StdinPlan::Empty)),
        (None, None) if written => None,
        (None, None) => {
            mistakes.add(value.span(), "stdin: neither a file nor inherited", help);
            None
        }
    }
}

/// `directories = { "/srv" = "www", "/tmp" = { host = "scratch", writable = true } }`.
fn directories(reader: &mut Reader<'_>) -> Vec<Spanned<DirectoryPlan>> {
    let mistakes = reader.mistakes;
    let mut directories = Vec::new();
    for (guest, value) in reader.entries("directories") {
        if guest.get_ref().is_empty() || guest.get_ref().contains('\0') {
            let message = format!("directories: {} cannot name a directory", quote(guest.get_ref()));
            mistakes.add(guest.span(), message, "the guest's name for it, such as \"/srv\"");
        }
        let (host, writable) = match value.get_ref() {
            DeValue::Table(table) => {
                let mut inner = Reader::new(table, "the directory", mistakes);
                let host = inner.get("host", path);
                if !inner.has("host") {
                    let help = "`host` is the folder on the machine, relative to the scenario's";
                    missing(mistakes, value.span(), "the directory", "host", help);
                }
                let writable = inner.get("writable", boolean).is_some_and(Spanned::into_inner);
                inner.finish();
                (host, writable)
            }
            text => match path(text) {
                Ok(host) => (Some(Spanned::new(value.span(), host)), false),
                Err(problem) => {
                    let help = "a folder, or `{ host = \"folder\", writable = true }`";
                    mistakes.add(value.span(), format!("directories: {}", problem.message), help);
                    (None, false)
                }
            },
        };
        if let Some(host) = host {
            let plan = DirectoryPlan { guest: guest.into_inner(), writable, host: host.get_ref().clone() };
            directories.push(Spanned::new(host.span(), plan));
        }
    }
    directories
}

/// `eth0` by the keys of the guest's (or service's) own table `[kind.NAME]`, and the tables `interface.NAME`. One without
/// either has an `eth0` all the same.
pub(super) fn own_interfaces(
    reader: &mut Reader<'_>,
    name: &Spanned<String>,
    what: &str,
    kind: &str,
) -> Vec<InterfaceSpec> {
    let short = SHORT_FORM.iter().any(|key| reader.has(key));
    let owner = if kind == "guest" { Owner::Guest } else { Owner::Server };
    let eth0 = interface(reader, Spanned::new(name.span(), "eth0".to_owned()), owner);
    let tables = interfaces(reader, what, owner);
    if short && let Some(twice) = tables.iter().find(|spec| spec.name.get_ref() == "eth0") {
        let help =
            format!("the keys {} in [{kind}.{}] itself describe eth0", SHORT_FORM.join(", "), name.get_ref());
        reader.mistakes.add(twice.name.span(), format!("{what} describes its eth0 twice"), help);
    }
    let eth0 = (short || tables.is_empty()).then_some(eth0);
    eth0.into_iter().chain(tables).collect()
}

fn listeners(reader: &mut Reader<'_>, what: &str) -> Vec<ListenerSpec> {
    let mistakes = reader.mistakes;
    let tables = reader.tables("listen");
    tables
        .into_iter()
        .enumerate()
        .filter_map(|(index, (at, table))| listener(index, at, table, what, mistakes))
        .collect()
}

fn listener(
    index: usize,
    at: Range<usize>,
    table: &DeTable<'_>,
    what: &str,
    mistakes: &Mistakes,
) -> Option<ListenerSpec> {
    let mut reader = Reader::new(table, format!("a listener of {what}"), mistakes);
    if !reader.has("bind") {
        let help = "the address and port it listens on: `bind = \"0.0.0.0:80\"`";
        missing(mistakes, at.clone(), &format!("a listener of {what}"), "bind", help);
    }
    let named = reader.get("name", name);
    let bind = reader.get("bind", address::endpoint);
    let protocol = reader.get("protocol", string);
    let kind = reader.get("kind", socket_kind).map(Spanned::into_inner).unwrap_or(SocketKind::Stream);
    let backlog = reader.get("backlog", count(65_535)).map(Spanned::into_inner);
    reader.finish();
    let name = named.unwrap_or_else(|| Spanned::new(at, format!("listen{index}")));
    Some(ListenerSpec { name, protocol, bind: bind?, kind, backlog })
}

pub(super) fn name(value: &DeValue<'_>) -> Result<String, Problem> {
    let text = string(value)?;
    check_name(&text)?;
    Ok(text)
}

pub(super) fn socket_kind(value: &DeValue<'_>) -> Result<SocketKind, Problem> {
    match string(value)?.as_str() {
        "stream" => Ok(SocketKind::Stream),
        "datagram" => Ok(SocketKind::Datagram),
        other => {
            Err(Problem::new(format!("{} is no kind of socket", quote(other)), "\"stream\" or \"datagram\""))
        }
    }
}
