//! What a guest finds open when it starts, under which numbers, and how it learns of it (`fd_prestat_*`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::StoreLimitsBuilder;
use wasmtime_wasi::p1::types::{self, Errno, Fd};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1;
use wasmtime_wasi::{Deterministic, FsPerms, WasiCtxBuilder};
use wiggle::{GuestMemory, GuestPtr};

use super::connections::Awaited;
use super::effort::Effort;
use super::files::{FileView, Listings};
use super::rights::Rights;
use super::strings::Strings;
use super::table::{Descriptor, File, Network, NetworkKind, Stdio, Table};
use super::{Context, SharedNode, lock};
use crate::node::SocketKind;
use crate::protocol::tls::supplies::Supplies;
use crate::protocol::{Grant, Making};
use crate::scenario::plan::ConnectionPlan;

/// A guest's tables, and entries of each: 16 bytes of the host's memory an entry, which no limit of linear memory counts.
const TABLES_MAX: usize = 4;
const TABLE_ELEMENTS_MAX: usize = 1 << 18;

/// What a guest is started with.
pub struct Setup {
    /// The program's name, then its arguments.
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Controls that listen already: name, the protocol's name, address, kind, backlog.
    pub listeners: Vec<(String, String, String, SocketKind, usize)>,
    /// Connections that are made before the guest runs.
    pub connections: Vec<ConnectionPlan>,
    /// Guest path, host path, whether it may be written to.
    pub directories: Vec<(String, PathBuf, bool)>,
    /// Name, protocol object, and whether it is for listeners alone.
    pub protocols: Vec<(String, Grant, bool)>,
    pub memory_bytes_max: usize,
    pub descriptors_max: usize,
    /// Wall-clock time of the world's first instant, since the Unix epoch.
    pub epoch: Duration,
    pub file_view: FileView,
    /// Units of fuel that it is given.
    pub fuel: u64,
    /// Those of one turn.
    pub quantum_fuel: u64,
    pub trace: bool,
    /// What its protocol objects are made with.
    pub supplies: Arc<Supplies>,
    /// Names the guest among those of its world.
    pub label: String,
    /// Programs that were started on its node before.
    pub programs: u32,
}

impl Context {
    /// Preopens in the ABI's order: controls, connections, then directories, then protocol objects, from 3 on.
    /// Connections have their places; [`Context::establish`] makes them.
    ///
    /// # Errors
    /// A directory that cannot be opened; a protocol object that cannot be made; a listener whose address the guest
    /// does not have.
    pub fn new(node: SharedNode, setup: Setup) -> wasmtime::Result<Context> {
        let mut builder = WasiCtxBuilder::new();
        builder.allow_blocking_current_thread(true);
        // Nobody draws from it: `random_get` is the node's, and this takes less room than what would be there else.
        builder.secure_random(Deterministic::new(vec![0]));
        for (guest, host, writable) in &setup.directories {
            let permissions = if *writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            builder.preopened_dir(host, guest, permissions).map_err(|error| {
                wasmtime::format_err!("directory {} cannot be opened: {error}", host.display())
            })?;
        }
        let mut table = Table::new(setup.descriptors_max);
        for stream in [Stdio::In, Stdio::Out, Stdio::Err] {
            insert(&mut table, Descriptor::Stdio { stream, nonblock: false })?;
        }
        let (mut names, mut listening, mut awaited) = (Vec::new(), Vec::new(), Vec::new());
        {
            let mut node = lock(&node);
            node.set_traced(setup.trace);
            let protocols: Vec<_> = setup
                .protocols
                .into_iter()
                .map(|(name, grant, private)| {
                    let label = format!("{}:{name}", setup.label);
                    let making =
                        Making { supplies: &setup.supplies, label: &label, programs: setup.programs };
                    let protocol = grant.into_protocol(making);
                    let protocol =
                        protocol.map_err(|error| wasmtime::format_err!("protocol {name}: {error}"))?;
                    Ok((name, node.grant(protocol), private))
                })
                .collect::<wasmtime::Result<_>>()?;
            for (name, protocol, bind, kind, backlog) in setup.listeners {
                let id = protocols
                    .iter()
                    .find(|(other, ..)| *other == protocol)
                    .ok_or_else(|| wasmtime::format_err!("listener {name}: no protocol object {protocol}"))
                    .and_then(|(_, protocol, _)| {
                        let id = node.open(*protocol, &bind, kind)?;
                        node.listen(id, backlog)?;
                        Ok(id)
                    })
                    .map_err(|error| wasmtime::format_err!("listener {name} on {bind}: {error}"))?;
                listening.push((id, format!("{name} on {bind}")));
                let network = network(NetworkKind::Control, id, kind == SocketKind::Datagram, &name);
                names.push(format!("{name}={}", u32::from(insert(&mut table, network)?)));
            }
            for plan in setup.connections {
                let protocol = protocols
                    .iter()
                    .find(|(other, ..)| *other == plan.protocol)
                    .map(|(_, protocol, _)| *protocol)
                    .ok_or_else(|| wasmtime::format_err!("connection {}: no protocol object", plan.name))?;
                let datagram = plan.kind == SocketKind::Datagram;
                let place = network(NetworkKind::Stream, protocol, datagram, &plan.name);
                let fd = insert(&mut table, place)?;
                names.push(format!("{}={}", plan.name, u32::from(fd)));
                awaited.push(Awaited { fd, protocol, plan });
            }
            for (inner, (path, ..)) in (3..).map(Fd::from).zip(&setup.directories) {
                // wasmtime-wasi counts its own preopens from 3.
                insert(&mut table, Descriptor::File(File { inner, path: path.as_str().into() }))?;
            }
            for (name, id, _) in protocols.into_iter().filter(|(.., private)| !private) {
                let network = network(NetworkKind::Protocol, id, false, &name);
                names.push(format!("{name}={}", u32::from(insert(&mut table, network)?)));
            }
        }
        table.begin();
        let environment = setup.env.iter().map(|(name, value)| format!("{name}={value}"));
        let environment = environment.chain([format!("NETWORKING_FDS={}", names.join(","))]);
        let limits = StoreLimitsBuilder::new()
            .memory_size(setup.memory_bytes_max)
            .table_elements(TABLE_ELEMENTS_MAX)
            .tables(TABLES_MAX)
            .instances(1)
            .memories(1)
            .build();
        let wasi = builder.build_p1();
        let Setup { epoch, file_view, fuel, quantum_fuel, trace, .. } = setup;
        Ok(Context {
            node: Arc::clone(&node),
            table,
            listening,
            awaited,
            wasi,
            arguments: Strings::new(&setup.args),
            environment: Strings::new(environment),
            epoch,
            file_view,
            listings: Listings::default(),
            memory: None,
            effort: Effort::new(fuel, quantum_fuel),
            trace,
            limits,
        })
    }

    /// Tag and name length of a preopened descriptor: 0 a directory, 1 a network object (ours).
    pub(super) fn prestat(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
    ) -> Result<(u8, types::Size), types::Error> {
        if let Ok(network) = self.table.any_network(fd) {
            let name = network.name.as_ref().ok_or(Errno::Badf)?;
            return Ok((1, name.len() as types::Size));
        }
        let directory = self.table.file(fd, Errno::Badf)?.inner;
        let types::Prestat::Dir(directory) = self.wasi.fd_prestat_get(memory, directory)?;
        Ok((0, directory.pr_name_len))
    }

    /// Stores a preopened descriptor's name.
    pub(super) fn prestat_name(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        buffer: GuestPtr<u8>,
        len: types::Size,
    ) -> Result<(), types::Error> {
        let Ok(network) = self.table.any_network(fd) else {
            let directory = self.table.file(fd, Errno::Badf)?.inner;
            return self.wasi.fd_prestat_dir_name(memory, directory, buffer, len);
        };
        let name = network.name.as_ref().ok_or(Errno::Badf)?;
        if name.len() > len as usize {
            return Err(Errno::Nametoolong.into());
        }
        memory.copy_from_slice(name.as_bytes(), buffer.as_array(name.len() as u32))?;
        Ok(())
    }
}

fn insert(table: &mut Table, descriptor: Descriptor) -> wasmtime::Result<Fd> {
    table.insert(descriptor).map_err(|_: Errno| wasmtime::format_err!("too few descriptors for the preopens"))
}

fn network(kind: NetworkKind, id: crate::node::ObjectId, datagram: bool, name: &str) -> Descriptor {
    Descriptor::Network(Network {
        id,
        kind,
        base: Rights::NETWORK,
        inheriting: Rights::NETWORK,
        nonblock: false,
        datagram,
        carrier: None,
        name: Some(name.into()),
    })
}
