//! Cables: those that `network` asks for, and those of the tables `[link.NAME]`; each port takes one.

use std::collections::BTreeSet;

use toml::Spanned;

use super::groups::Groups;
use super::{Cable, End, Interface, Topology};
use crate::scenario::spec::{Directions, LinkSpec};

impl Topology<'_> {
    /// Cables that the keys `network` ask for, and those of guests that leave it out.
    pub(super) fn plug_into_networks(&mut self, links: &[LinkSpec]) {
        let linked: BTreeSet<&str> =
            links.iter().flat_map(|link| &link.ends).flatten().map(|end| end.get_ref().as_str()).collect();
        for at in 0..self.interfaces.len() {
            let Interface { spec, ref port, device, .. } = self.interfaces[at];
            let port = port.clone();
            let switch = match &spec.network {
                Some(network) => self.switch_named(network),
                None => {
                    // A guest or service that says nothing is on the only switch there is, unless a link names it.
                    let eth0 = self.is_plain(device) && spec.name.get_ref() == "eth0";
                    let free = !linked.contains(&*port) && !linked.contains(&*format!("{port}.eth0"));
                    (eth0 && free && !spec.broken && self.own_switches() == 1).then_some(0)
                }
            };
            if spec.network.is_some() {
                // Even to an unknown switch: it was meant to be plugged in.
                self.interfaces[at].plugged = true;
            }
            if let Some(switch) = switch {
                self.interfaces[at].plugged = true;
                let name = format!("{port}:{}", self.switches[switch].name.get_ref());
                self.lay(name, [End::Interface(at), End::Switch(switch)], &spec.directions);
            }
        }
        for (at, tap) in self.taps.iter().enumerate() {
            let Some(network) = &tap.network else { continue };
            self.taps_plugged[at] = true;
            if let Some(switch) = self.switch_named(network) {
                let name = format!("{}:{}", tap.name.get_ref(), self.switches[switch].name.get_ref());
                self.lay(name, [End::Tap(at), End::Switch(switch)], &tap.directions);
            }
        }
    }

    /// Those that the scenario has, which come first.
    fn own_switches(&self) -> usize {
        self.switches.iter().filter(|switch| !switch.unix).count()
    }

    fn lay(&mut self, name: String, ends: [End; 2], directions: &Directions) {
        self.cables.push(Cable { name, ends, directions: directions.clone() });
    }

    /// The cables of the tables `[link.NAME]`.
    pub(super) fn lay_links(&mut self, links: &[LinkSpec]) -> Groups {
        let mut groups = Groups::new(self.switches.len());
        for link in links {
            let Some(ends) = &link.ends else { continue };
            let [Some(one), Some(other)] = ends.each_ref().map(|end| self.end(end)) else { continue };
            if one == other {
                let message = format!("link `{}` leads back to where it begins", link.name.get_ref());
                self.mistakes.add(ends[1].span(), message, "join two different ports");
                continue;
            }
            if let (End::Switch(a), End::Switch(b)) = (one, other)
                && !groups.join(a, b)
            {
                let message = format!("link `{}` closes a loop of switches", link.name.get_ref());
                let help = "a broadcast would go round it for ever: these switches are joined already, so leave it out";
                self.mistakes.add(link.name.span(), message, help);
                continue;
            }
            if self.plug(one, &ends[0]) && self.plug(other, &ends[1]) {
                self.lay(link.name.get_ref().clone(), [one, other], &link.directions);
            }
        }
        groups
    }

    /// Takes one end of a link; false if it is taken already.
    fn plug(&mut self, end: End, written: &Spanned<String>) -> bool {
        let taken = match end {
            End::Switch(_) => false,
            End::Interface(at) => {
                let interface = &mut self.interfaces[at];
                if let Some(at) = &interface.spec.link
                    && !interface.plugged
                {
                    let help = "move them to the [link.NAME] that joins it";
                    self.mistakes.add(
                        at.clone(),
                        format!("`{}` is joined by a link of its own", interface.port),
                        help,
                    );
                }
                std::mem::replace(&mut interface.plugged, true)
            }
            End::Tap(at) => std::mem::replace(&mut self.taps_plugged[at], true),
        };
        if taken {
            let message = format!("`{}` is plugged in twice", written.get_ref());
            let help = "a port takes one cable: its `network`, or one link; a switch joins more";
            self.mistakes.add(written.span(), message, help);
        }
        !taken
    }

    pub(super) fn check_plugged(&self) {
        for interface in &self.interfaces {
            if interface.plugged || interface.spec.broken {
                continue;
            }
            let switches = self.own_switches();
            let help = match switches {
                0 => {
                    "add a [switch.NAME] and `network = \"NAME\"`, or a [link.NAME] with it among its `ends`"
                        .to_owned()
                }
                _ => format!(
                    "add `network = \"{}\"`, or a [link.NAME] with it among its `ends`",
                    self.switches[0].name.get_ref()
                ),
            };
            let message = format!("`{}` is plugged in nowhere", interface.port);
            self.mistakes.add(interface.spec.name.span(), message, help);
        }
        for (tap, _) in self.taps.iter().zip(&self.taps_plugged).filter(|(_, plugged)| !**plugged) {
            let message = format!("`{}` is plugged in nowhere", tap.name.get_ref());
            self.mistakes.add(
                tap.name.span(),
                message,
                "add `network`, or a [link.NAME] with it among its `ends`",
            );
        }
    }
}
