//! Mistakes in cables, addresses and routes.

use super::mistakes;

#[test]
fn cables() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[switch.x]\n[switch.y]"), @r#"labs/lab.toml:1:8: `a` is plugged in nowhere; add `network = "x"`, or a [link.NAME] with it among its `ends`"#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nnetwork = 'x'\n[switch.x]\n[link.l]\nends = ['a', 'x']"), @"labs/lab.toml:6:9: `a` is plugged in twice; a port takes one cable: its `network`, or one link; a switch joins more");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[switch.x]\n[link.l]\nends = ['a.eth1', 'x.0']\n[link.m]\n\
         ends = ['b', 'x']"), @r"
    labs/lab.toml:5:9: ends: `a` has no interface `eth1`; did you mean `eth0`? it has eth0
    labs/lab.toml:5:19: ends: `x.0` names a port of a switch; write `x`: its ports are numbered as links come
    labs/lab.toml:7:9: ends: there is no `b` to plug into; ends are `GUEST`, `GUEST.INTERFACE`, `ROUTER.INTERFACE`, `SWITCH` or `TAP`
    ");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[switch.x]\n[switch.y]\n[switch.z]\n[link.l]\n\
         ends = ['x', 'y']\n[link.m]\nends = ['y', 'z']\n[link.n]\nends = ['z', 'x']\n[link.o]\n\
         ends = ['z', 'z']"), @r#"
    labs/lab.toml:1:8: `a` is plugged in nowhere; add `network = "x"`, or a [link.NAME] with it among its `ends`
    labs/lab.toml:10:7: link `n` closes a loop of switches; a broadcast would go round it for ever: these switches are joined already, so leave it out
    labs/lab.toml:13:14: link `o` leads back to where it begins; join two different ports
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[link.l]\nends = 'a'\n[link.m]\n[link.n]\nends = ['a', 1]"), @r#"
    labs/lab.toml:1:8: `a` is plugged in nowhere; add a [switch.NAME] and `network = "NAME"`, or a [link.NAME] with it among its `ends`
    labs/lab.toml:4:8: ends: not a list of two ports; the two ports that it joins, such as `ends = ["r1.wan", "r2.wan"]`
    labs/lab.toml:5:7: link `m` has no `ends`; the two ports that it joins, such as `ends = ["r1.wan", "r2.wan"]`
    labs/lab.toml:7:14: ends: an integer where a string belongs; put it in quotes
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nlink = { delay = '1ms' }\naddresses = '10.0.0.1/24'\n\
         [guest.b]\nmodule = 'b'\n[link.l]\nends = ['a', 'b']"), @"labs/lab.toml:3:8: `a` is joined by a link of its own; move them to the [link.NAME] that joins it");
    insta::assert_snapshot!(mistakes("[tap.t]\n[tap.u]\ndevice = 'a-name-too-long-for-a-device'\nnetwork = 'x'\n[tap.v]\n\
         device = 't'\nnetns = 'a/b'\nnetwork = 'x'\n[switch.x]"), @r#"
    labs/lab.toml:1:6: `t` is plugged in nowhere; add `network`, or a [link.NAME] with it among its `ends`
    labs/lab.toml:3:10: device: `a-name-too-long-for-a-device` cannot name an interface; 1 to 15 letters, digits and the like, such as "gn0"
    labs/lab.toml:7:9: netns: `a/b` cannot name a network namespace; a name that `ip netns list` shows; leave it out for the current one
    "#);
    insta::assert_snapshot!(mistakes("[tap.t]\ndevice = 'gn0'\nnetwork = 'x'\n[tap.u]\ndevice = 'gn0'\nnetwork = 'x'\n\
         [switch.x]"), @"labs/lab.toml:5:10: taps `t` and `u` open the same device, `gn0`; a device is opened once: name another, or another `netns`");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nnetwork = 'x'\n[guest.a.interface.eth0]\nnetwork = 'x'\n\
         [switch.x]"), @"labs/lab.toml:4:20: guest `a` describes its eth0 twice; the keys network, link, addresses, mac, mtu in [guest.a] itself describe eth0");
}

#[test]
fn addresses() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         addresses = ['10.0.0.1', '10.0.0.0/24', '10.0.0.255/24', '224.0.0.1/4', '0.0.0.0/8', '10.0.0.1/33', 'fd00::/64', '::1/128']"), @r#"
    labs/lab.toml:3:14: addresses: `10.0.0.1` has no prefix length; an address with its subnet's prefix length, such as "10.0.0.2/24" or "fd00::2/64"
    labs/lab.toml:3:26: addresses: `10.0.0.0/24` is the address of its subnet itself; an interface has a unicast address of its subnet, such as "10.0.0.2/24"
    labs/lab.toml:3:41: addresses: `10.0.0.255/24` is the broadcast address of its subnet; an interface has a unicast address of its subnet, such as "10.0.0.2/24"
    labs/lab.toml:3:58: addresses: `224.0.0.1/4` is a multicast address; an interface has a unicast address of its subnet, such as "10.0.0.2/24"
    labs/lab.toml:3:73: addresses: `0.0.0.0/8` is the unspecified address; an interface has a unicast address of its subnet, such as "10.0.0.2/24"
    labs/lab.toml:3:86: addresses: `33` is not a prefix length of IPv4; 0 to 32
    labs/lab.toml:3:101: addresses: `fd00::/64` is the address of its subnet itself; an interface has a unicast address of its subnet, such as "10.0.0.2/24"
    labs/lab.toml:3:114: addresses: `::1/128` is a loopback address; an interface has a unicast address of its subnet, such as "10.0.0.2/24"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\naddresses = '10.0.0.2/24'\n[guest.b]\nmodule = 'b'\n\
         addresses = '10.0.0.2/24'"), @"labs/lab.toml:6:13: the address 10.0.0.2 is taken already; every interface of a lab has addresses of its own; leave `addresses` out for automatic ones");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nmac = '02:00:00:00:00:07'\n[guest.b]\nmodule = 'b'\n\
         mac = '02:00:00:00:00:07'"), @"labs/lab.toml:6:7: mac: `a` has this address already; every interface of a lab has a MAC address of its own; leave it out for one");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         addresses = ['10.0.0.1/24', '10.0.0.2/24', '10.0.0.3/24', '10.0.0.4/24', '10.0.0.5/24', '10.0.0.6/24', '10.0.0.7/24', '10.0.0.8/24']"), @"labs/lab.toml:3:119: `a` has 9 addresses; an interface has at most 8, its IPv6 link-local address among them");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nmtu = 1000\naddresses = ['10.0.0.2/24', 'fd00::2/64']"), @"labs/lab.toml:4:29: fd00::2/64 needs an MTU of 1280, and `a` has 1000; IPv6 needs links of 1280 bytes (RFC 8200): raise `mtu`, or have IPv4 alone");
    insta::assert_snapshot!(mistakes("[switch.x]\nsubnets = ['10.0.0.1/24', '0.0.0.0/0', '10.0.0.0/30']\n[guest.a]\n\
         module = 'a'\n[guest.b]\nmodule = 'b'"), @r#"
    labs/lab.toml:2:12: subnets: `10.0.0.1/24` has bits set beyond its prefix; the subnet is "10.0.0.0/24"
    labs/lab.toml:2:27: subnets: `0.0.0.0/0` has no addresses to give out; a unicast subnet with a prefix length of 8 or more, such as "10.0.0.0/24" or "fd00::/64"
    labs/lab.toml:5:8: the subnet 10.0.0.0/30 has no address left for `b`; give its switch larger `subnets`
    "#);
    insta::assert_snapshot!(mistakes("[switch.x]\nsubnets = '10.0.0.0/30'\n[guest.a]\nmodule = 'a'\n[guest.b]\nmodule = 'b'"), @"labs/lab.toml:5:8: the subnet 10.0.0.0/30 has no address left for `b`; give its switch larger `subnets`");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[guest.b]\nmodule = 'b'\n[link.l]\nends = ['a', 'b']"), @r#"
    labs/lab.toml:1:8: `a` has no address; add `addresses = ["10.9.0.1/30"]`; they are automatic on switches alone, or where the other end has some. `addresses = []` leaves it with its IPv6 link-local address
    labs/lab.toml:3:8: `b` has no address; add `addresses = ["10.9.0.1/30"]`; they are automatic on switches alone, or where the other end has some. `addresses = []` leaves it with its IPv6 link-local address
    "#);
}

#[test]
fn no_addresses() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nmtu = 1000\naddresses = []"), @"labs/lab.toml:1:8: `a` has no address; with an MTU below 1280 it cannot have IPv6 addresses: add one of IPv4, or raise `mtu`");
    insta::assert_snapshot!(mistakes("[switch.s]\nsubnets = 'fd00::/64'\n[guest.a]\nmodule = 'a'\nmtu = 1000"), @"labs/lab.toml:3:8: `a` has no address; with an MTU below 1280 it cannot have IPv6 addresses: add one of IPv4, or raise `mtu`");
}

#[test]
fn routes() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ngateway = ['10.1.0.1', '10.0.0.2', 'x']"), @r#"
    labs/lab.toml:3:12: the next hop 10.1.0.1 is on no subnet of guest `a`; the next hop is a neighbour: its addresses are 10.0.0.2/24
    labs/lab.toml:3:24: guest `a` has two routes to 0.0.0.0/0; a destination has one next hop (`gateway` is the default route)
    labs/lab.toml:3:24: the next hop 10.0.0.2 is an address of guest `a` itself; name the router's address
    labs/lab.toml:3:36: gateway: `x` is not an IP address; such as "10.0.0.1" or "fd00::1"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ngateway = '10.0.0.1'\n\
         routes = [{ to = '0.0.0.0/0', via = '10.0.0.3' }, { to = '10.1.0.1/16', via = '10.0.0.1' }, { to = '::/0', via = '10.0.0.1' }]"), @r#"
    labs/lab.toml:4:11: guest `a` has two routes to 0.0.0.0/0; a destination has one next hop (`gateway` is the default route)
    labs/lab.toml:4:58: to: `10.1.0.1/16` has bits set beyond its prefix; the subnet is "10.1.0.0/16"
    labs/lab.toml:4:114: the route to ::/0 leads over 10.0.0.1, of another family; the next hop is of the destination's family
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\naddresses = '10.0.0.2/24'\ngateway = 'fd00::1'\n[router.r]\n\
         gateway = '10.9.9.9'\n[router.r.interface.i]\nnetwork = 'lan'\n[switch.lan]"), @r"
    labs/lab.toml:4:11: the next hop fd00::1 is on no subnet of guest `a`; guest `a` has no address of that family
    labs/lab.toml:6:11: the next hop 10.9.9.9 is on no subnet of router `r`; the next hop is a neighbour: its addresses are 10.0.0.1/24
    ");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         routes = [{ to = '10.1.0.0/16', via = '10.0.0.1' }, { to = '10.2.0.0/16', via = '10.0.0.1' }, { to = '10.3.0.0/16', via = '10.0.0.1' }, { to = '10.4.0.0/16', via = '10.0.0.1' }, { to = '10.5.0.0/16', via = '10.0.0.1' }, { to = '10.6.0.0/16', via = '10.0.0.1' }, { to = '10.7.0.0/16', via = '10.0.0.1' }, { to = '10.8.0.0/16', via = '10.0.0.1' }, { to = '10.9.0.0/16', via = '10.0.0.1' }, { to = '10.10.0.0/16', via = '10.0.0.1' }, { to = '10.11.0.0/16', via = '10.0.0.1' }, { to = '10.12.0.0/16', via = '10.0.0.1' }, { to = '10.13.0.0/16', via = '10.0.0.1' }, { to = '10.14.0.0/16', via = '10.0.0.1' }, { to = '10.15.0.0/16', via = '10.0.0.1' }, { to = '10.16.0.0/16', via = '10.0.0.1' }, { to = '10.17.0.0/16', via = '10.0.0.1' }]"), @"labs/lab.toml:3:690: guest `a` has more than 16 routes; let a router do the routing, and keep a default route to it");
}

#[test]
fn address_configuration() {
    insta::assert_snapshot!(mistakes("[switch.lan]\n[router.r]\n[router.r.interface.lan]\nnetwork = 'lan'\naddresses = ['dhcp', '10.0.0.1/24']\nadvertise = 1\n\
         [guest.a]\nmodule = 'a'\nadvertise = true\naddresses = 'dchp'\nmtu = 1000\n[guest.b]\nmodule = 'b'\naddresses = 'slaac'\nmtu = 1000"), @r#"
    labs/lab.toml:5:14: addresses: "dhcp" is for guests, and this is a router; an address with its subnet's prefix length
    labs/lab.toml:6:13: advertise: an integer where a boolean or a table belongs; `advertise = true`, or `advertise = { lifetime = "30min" }`
    labs/lab.toml:9:1: unknown key `advertise` in guest `a`; known here: module, count, args, env, stdin, directories, network, link, addresses, mac, mtu, detect_duplicates, interface, gateway, routes, listen, connect, protocol, resolver, memory, cpu, fuel, descriptors, buffers, linger, start, address_wait, background
    labs/lab.toml:10:13: addresses: `dchp` is no source of addresses; "dhcp", "slaac", or an address with its subnet's prefix length
    labs/lab.toml:14:13: addresses: "slaac" needs an MTU of 1280, and this is 1000; IPv6 needs links of 1280 bytes (RFC 8200): raise `mtu`
    "#);
    insta::assert_snapshot!(mistakes("[switch.lan]\nsubnets = '10.0.0.0/24'\n[router.r]\n[router.r.interface.lan]\nnetwork = 'lan'\nadvertise = { interval = '1s', valid = '1h', preferred = '2h', dns = '10.0.0.1' }\n\
         [dhcp.d]\nrange = '10.0.0.9-10.0.0.1'\nlease = '1.5s'\nrouter = '10.1.0.1'\n[dhcp.e]\nrange = '10.0.1.1-10.0.1.2'\nreservations = { x = '10.0.0.9', lan = 1 }\n[dhcp.f]\naddresses = '10.0.0.77/32'\n\
         [guest.a]\nmodule = 'a'"), @r#"
    labs/lab.toml:6:13: advertise: addresses would be preferred for longer than they are valid; `preferred` is at most `valid`
    labs/lab.toml:6:13: advertise: there is no prefix to advertise; add an address of IPv6 to the interface: its prefix is what is advertised
    labs/lab.toml:6:26: interval: 1s is out of range; from 4s to 1800s
    labs/lab.toml:6:70: dns: 10.0.0.1 is not of IPv6; such as "fd00::1"
    labs/lab.toml:8:9: range: `10.0.0.9-10.0.0.1` runs backwards; the first and the last address, such as "10.0.0.100-10.0.0.199"
    labs/lab.toml:9:9: lease: 1.5s is no length of a lease; whole seconds, "4s" or more
    labs/lab.toml:10:10: router: 10.1.0.1 is outside of 10.0.0.0/24; clients can reach what is on their subnet
    labs/lab.toml:12:9: DHCP server `e` has no address to give leases with; it has 10.0.0.3/24: a range of that subnet
    labs/lab.toml:13:40: reservations: an integer where a string belongs; put it in quotes
    labs/lab.toml:14:7: DHCP server `f` has no range to give out of 10.0.0.77/32; a subnet of more addresses
    "#);
    insta::assert_snapshot!(mistakes("[switch.lan]\n[dhcp.d]\n[guest.d]\nmodule = 'a'\n[guest.a]\nmodule = 'a'\n[[at]]\ntime = '1s'\ndhcp = { server = 'x', revoke = 'a' }\n[[at]]\ntime = '1s'\ndhcp = { server = 'd', range = '10.9.0.1-10.9.0.9' }\n\
         [[at]]\ntime = '1s'\ndhcp = { server = 'd' }\n[[at]]\ntime = '1s'\nrebind = { router = 'd', interface = 'eth0', addresses = '10.0.0.9/24' }"), @r#"
    labs/lab.toml:2:7: `d` names a guest and a DHCP server; guests, switches, routers, services and TAPs share one space of names: links and captures tell them apart by nothing else
    labs/lab.toml:9:19: dhcp: there is no DHCP server `x`; there are: d
    labs/lab.toml:12:32: range: is not within 10.0.0.0/24; a range of the server's own subnet
    labs/lab.toml:15:8: dhcp: changes nothing; `range`, the addresses that it gives from now on, or `revoke`, guests whose leases end
    labs/lab.toml:18:21: rebind: there is no guest `d`; there are: d, a
    "#);
}
