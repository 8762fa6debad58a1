//! The scenario file as written: every key of it, typed, with the places of those values that can
//! still prove wrong. Names are not looked up here, and defaults that depend on other tables not filled in.
//!
//! ```text
//! mod.rs         top level, switches, TAPs, links
//! interface.rs   what guests and routers share: interfaces, routes
//! link.rs        the knobs of a link (loss.rs, queue.rs)
//! guest.rs       guests
//! names.rs       the hosts table, and guests' resolvers
//! protocol.rs    their protocol objects
//! service.rs     nodes with a program of guestnet's own
//! unix.rs        those of kind `unix`, and the network that they make
//! tls.rs         [ca.NAME], and the keys of TLS
//! dhcp.rs        DHCP servers, router advertisements
//! timeline/      what happens while the lab runs
//! expect.rs      expectations
//! ```

use std::ops::Range;
use std::time::Duration;

use smoltcp::wire::IpCidr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::address;
use super::mistake::{Mistakes, Problem};
use super::read::{Named, Reader, boolean, integer, string};
use super::units;

mod dhcp;
mod expect;
mod guest;
mod interface;
mod link;
mod loss;
mod names;
mod preopen;
mod protocol;
mod queue;
mod quic;
mod service;
mod timeline;
mod tls;
mod unix;

pub(super) use dhcp::{AdvertiseSpec, DhcpSpec};
pub(super) use expect::{CompareSpec, ContentSpec, ExpectSpec, FileSpec, Rule, Subject, Where};
pub(super) use guest::{GUESTS_MAX, GuestSpec};
pub(super) use interface::{InterfaceSpec, RoutingSpec, default_route};
use interface::{Owner, interfaces, routing};
use link::directions;
pub(super) use link::{Directions, knobs_over};
pub(super) use names::{HostSpec, ResolverSpec, ServerSpec};
pub(super) use preopen::ConnectionSpec;
pub(super) use protocol::{KindSpec, ProtocolSpec};
pub(super) use service::{DnsSpec, ServiceKindSpec, ServiceSpec};
pub(super) use timeline::{ActionSpec, AfterSpec, EntrySpec, FramesSpec};
pub(super) use tls::{AuthoritySpec, CertificateSpec, RootSpec, TlsSpec};
pub(super) use unix::{host_folders, unix_network};

pub(super) struct Spec {
    pub name: Option<String>,
    pub seed: Option<u64>,
    pub duration: Option<Duration>,
    pub epoch: Option<Duration>,
    pub secrets: Option<bool>,
    /// All in file order.
    pub authorities: Vec<AuthoritySpec>,
    pub guests: Vec<GuestSpec>,
    pub switches: Vec<SwitchSpec>,
    pub routers: Vec<RouterSpec>,
    pub dhcp: Vec<DhcpSpec>,
    pub taps: Vec<TapSpec>,
    pub services: Vec<ServiceSpec>,
    pub hosts: Vec<HostSpec>,
    pub links: Vec<LinkSpec>,
    pub timeline: Vec<EntrySpec>,
    pub expectations: Vec<ExpectSpec>,
}

pub(super) struct SwitchSpec {
    pub name: Spanned<String>,
    pub ageing: Option<Duration>,
    pub snooping: Option<bool>,
    /// `None`: not given.
    pub subnets: Option<Vec<Spanned<IpCidr>>>,
    /// It is the network of Unix-domain sockets, which no scenario names.
    pub unix: bool,
}

pub(super) struct RouterSpec {
    pub name: Spanned<String>,
    pub interfaces: Vec<InterfaceSpec>,
    pub routing: RoutingSpec,
}

pub(super) struct TapSpec {
    pub name: Spanned<String>,
    pub device: Option<Spanned<String>>,
    pub netns: Option<String>,
    pub network: Option<Spanned<String>>,
    pub directions: Directions,
    /// Something about it was a mistake already.
    pub broken: bool,
}

pub(super) struct LinkSpec {
    pub name: Spanned<String>,
    /// `None` if they were not two strings, which was told already.
    pub ends: Option<[Spanned<String>; 2]>,
    pub directions: Directions,
}

impl Spec {
    /// Both directions of every cable, wherever it is described.
    pub fn directions_mut(&mut self) -> impl Iterator<Item = &mut Directions> {
        let guests = self.guests.iter_mut().flat_map(|guest| &mut guest.interfaces);
        let routers = self.routers.iter_mut().flat_map(|router| &mut router.interfaces);
        let dhcp = self.dhcp.iter_mut().flat_map(|server| &mut server.interfaces);
        let services = self.services.iter_mut().flat_map(|service| &mut service.interfaces);
        let interfaces = guests.chain(routers).chain(dhcp).chain(services);
        let interfaces = interfaces.map(|interface| &mut interface.directions);
        let taps = self.taps.iter_mut().map(|tap| &mut tap.directions);
        let links = self.links.iter_mut().map(|link| &mut link.directions);
        interfaces.chain(taps).chain(links)
    }
}

/// How a value that must be there is missing.
fn missing(mistakes: &Mistakes, at: Range<usize>, what: &str, key: &str, help: &str) {
    mistakes.add(at, format!("{what} has no `{key}`"), help);
}

/// A lab that is over as it begins shows nothing.
fn some_time(value: &DeValue<'_>) -> Result<Duration, Problem> {
    match units::duration(value)? {
        Duration::ZERO => Err(Problem::new("ends the lab as it begins", "longer than \"0s\"")),
        duration => Ok(duration),
    }
}

pub(super) fn read(root: &DeTable<'_>, mistakes: &Mistakes) -> Spec {
    let mut reader = Reader::new(root, "the scenario", mistakes);
    let spec = Spec {
        name: reader.get("name", string).map(Spanned::into_inner),
        seed: reader.get("seed", integer(0..=u64::MAX)).map(Spanned::into_inner),
        duration: reader.get("duration", some_time).map(Spanned::into_inner),
        epoch: reader.get("epoch", units::epoch).map(Spanned::into_inner),
        secrets: reader.get("secrets", boolean).map(Spanned::into_inner),
        authorities: reader.named("ca").into_iter().map(|named| tls::authority(named, mistakes)).collect(),
        switches: reader.named("switch").into_iter().map(|named| switch(named, mistakes)).collect(),
        guests: reader.named("guest").into_iter().map(|named| guest::guest(named, mistakes)).collect(),
        routers: reader.named("router").into_iter().map(|named| router(named, mistakes)).collect(),
        dhcp: reader.named("dhcp").into_iter().map(|named| dhcp::dhcp(named, mistakes)).collect(),
        taps: reader.named("tap").into_iter().map(|named| tap(named, mistakes)).collect(),
        services: reader.named("dns").into_iter().map(|named| service::dns(named, mistakes)).collect(),
        hosts: names::hosts(&mut reader),
        links: reader.named("link").into_iter().map(|named| link(named, mistakes)).collect(),
        timeline: timeline::entries(&mut reader),
        expectations: reader
            .tables("expect")
            .into_iter()
            .filter_map(|(at, table)| expect::expect(at, table, mistakes))
            .collect(),
    };
    reader.finish();
    spec
}

fn switch(Named { name, table }: Named<'_>, mistakes: &Mistakes) -> SwitchSpec {
    let mut reader = Reader::new(table, format!("switch `{}`", name.get_ref()), mistakes);
    let ageing = reader.get("ageing", units::duration).map(Spanned::into_inner);
    let snooping = reader.get("snooping", boolean).map(Spanned::into_inner);
    let subnets = reader.list("subnets", address::switch_subnet);
    reader.finish();
    SwitchSpec { name, ageing, snooping, subnets, unix: false }
}

fn router(Named { name, table }: Named<'_>, mistakes: &Mistakes) -> RouterSpec {
    let what = format!("router `{}`", name.get_ref());
    let mut reader = Reader::new(table, what.clone(), mistakes);
    let interfaces = interfaces(&mut reader, &what, Owner::Router);
    if !reader.has("interface") {
        let help = format!("add [router.{}.interface.NAME] with `network` and `addresses`", name.get_ref());
        mistakes.add(name.span(), format!("{what} has no interface"), help);
    }
    let routing = routing(&mut reader);
    reader.finish();
    RouterSpec { name, interfaces, routing }
}

fn tap(Named { name, table }: Named<'_>, mistakes: &Mistakes) -> TapSpec {
    let mut reader = Reader::new(table, format!("tap `{}`", name.get_ref()), mistakes);
    let mistakes_before = mistakes.count();
    let device = reader.get("device", device_name);
    let netns = reader.get("netns", namespace_name).map(Spanned::into_inner);
    let network = reader.get("network", string);
    let directions = directions(&mut reader);
    reader.finish();
    TapSpec { name, device, netns, network, directions, broken: mistakes.count() != mistakes_before }
}

fn link(Named { name, table }: Named<'_>, mistakes: &Mistakes) -> LinkSpec {
    let what = format!("link `{}`", name.get_ref());
    let mut reader = Reader::new(table, what.clone(), mistakes);
    let help = "the two ports that it joins, such as `ends = [\"r1.wan\", \"r2.wan\"]`";
    let given = reader.value("ends");
    let ends = match given.map(|value| value.get_ref()) {
        None => {
            missing(mistakes, name.span(), &what, "ends", help);
            None
        }
        Some(toml::de::DeValue::Array(ends)) if ends.len() == 2 => {
            reader.list("ends", string).and_then(|ends| <[Spanned<String>; 2]>::try_from(ends).ok())
        }
        Some(_) => {
            let at = given.map(Spanned::span).unwrap_or_default();
            mistakes.add(at, "ends: not a list of two ports", help);
            None
        }
    };
    let directions = link::knobs(&mut reader);
    reader.finish();
    LinkSpec { name, ends, directions }
}

/// What the kernel takes for the name of an interface (`dev_valid_name`), of a kind that tools can print.
fn device_name(value: &toml::de::DeValue<'_>) -> Result<String, super::mistake::Problem> {
    let text = string(value)?;
    let legal = |c: char| c.is_ascii_graphic() && c != '/' && c != ':' && c != '%';
    if (1..=15).contains(&text.len()) && text.chars().all(legal) && text != "." && text != ".." {
        return Ok(text);
    }
    let message = format!("{} cannot name an interface", super::mistake::quote(&text));
    Err(super::mistake::Problem::new(message, "1 to 15 letters, digits and the like, such as \"gn0\""))
}

fn namespace_name(value: &toml::de::DeValue<'_>) -> Result<String, super::mistake::Problem> {
    let text = string(value)?;
    // A file below /run/netns: nothing that leads out of there.
    let legal = |c: char| c.is_ascii_graphic() && c != '/';
    if (1..=255).contains(&text.len()) && text.chars().all(legal) && text != "." && text != ".." {
        return Ok(text);
    }
    let message = format!("{} cannot name a network namespace", super::mistake::quote(&text));
    Err(super::mistake::Problem::new(
        message,
        "a name that `ip netns list` shows; leave it out for the current one",
    ))
}
