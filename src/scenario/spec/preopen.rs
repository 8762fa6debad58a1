//! The tables `[[guest.NAME.connect]]`.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::super::address::{self, Endpoint};
use super::super::mistake::Mistakes;
use super::super::read::{Reader, string};
use super::super::units;
use super::guest::{name, socket_kind};
use super::missing;
use crate::node::SocketKind;

pub(in super::super) struct ConnectionSpec {
    pub name: Spanned<String>,
    pub protocol: Option<Spanned<String>>,
    pub address: Spanned<Endpoint>,
    /// `None`: any address and port of the guest.
    pub bind: Option<Spanned<Endpoint>>,
    pub kind: SocketKind,
    pub retry: Option<Duration>,
}

pub(super) fn connections(reader: &mut Reader<'_>, what: &str) -> Vec<ConnectionSpec> {
    let mistakes = reader.mistakes;
    let tables = reader.tables("connect").into_iter().enumerate();
    tables.filter_map(|(index, (at, table))| connection(index, at, table, what, mistakes)).collect()
}

fn connection(
    index: usize,
    at: Range<usize>,
    table: &DeTable<'_>,
    owner: &str,
    mistakes: &Mistakes,
) -> Option<ConnectionSpec> {
    let what = format!("a connection of {owner}");
    let mut reader = Reader::new(table, what.clone(), mistakes);
    if !reader.has("address") {
        let help = "the peer's address and port: `address = \"10.0.0.2:80\"`";
        missing(mistakes, at.clone(), &what, "address", help);
    }
    let named = reader.get("name", name);
    let address = reader.get("address", address::peer);
    let protocol = reader.get("protocol", string);
    let kind = reader.get("kind", socket_kind).map(Spanned::into_inner).unwrap_or(SocketKind::Stream);
    let bind = reader.get("bind", address::endpoint);
    let retry = reader.get("retry", units::duration).map(Spanned::into_inner);
    reader.finish();
    let name = named.unwrap_or_else(|| Spanned::new(at, format!("connect{index}")));
    Some(ConnectionSpec { name, protocol, address: address?, bind, kind, retry })
}
