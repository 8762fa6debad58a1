//! A plan as text: everything in it, on few lines.

use crate::network::link::LinkParameters;
use crate::network::{InterfaceConfig, Route};
use crate::protocol::policy::Rule;
use crate::protocol::{Grant, ip};
use crate::scenario::plan::{GuestPlan, LinkPlan, Plan, ServicePlan};

pub(super) fn show(plan: &Plan) -> String {
    // Taken apart whole: a field that comes later must be shown as well.
    let Plan {
        name,
        seed,
        digest,
        duration,
        epoch,
        log_secrets,
        authorities,
        guests,
        switches,
        routers,
        taps,
        services,
        links,
        timeline,
        expectations,
        host_folders,
    } = plan;
    let mut lines = vec![
        format!("{name:?} seed {seed:?} duration {duration:?} epoch {epoch:?}"),
        format!("digest {}...", &digest[..16]),
    ];
    if log_secrets.is_some() || !authorities.is_empty() {
        lines.push(format!("secrets {log_secrets:?} {authorities:?}"));
    }
    guests.iter().for_each(|guest| show_guest(guest, &mut lines));
    lines.extend(switches.iter().map(|switch| format!("{switch:?}")));
    for router in routers {
        lines.push(format!("router {}", router.name));
        show_network(&router.interfaces, &router.routes, &mut lines);
        lines.extend(router.advertise.iter().flatten().map(|it| format!("  {it:?}")));
        lines.extend(router.dhcp.iter().map(|it| format!("  {it:?}")));
    }
    lines.extend(taps.iter().map(|tap| format!("{tap:?}")));
    lines.extend(host_folders.iter().map(|folder| format!("{folder:?}")));
    for ServicePlan { name, interfaces, routes, kind } in services {
        lines.push(format!("service {name}"));
        show_network(interfaces, routes, &mut lines);
        lines.push(format!("  {kind:?}"));
    }
    for LinkPlan { name, ends: [a, b], directions: [there, back] } in links {
        lines.push(format!("link {name}"));
        lines.push(format!("  {:?} {} {} -> {}", a.device, a.index, a.name, parameters(there)));
        lines.push(format!("  {:?} {} {} -> {}", b.device, b.index, b.name, parameters(back)));
    }
    lines.extend(timeline.iter().map(|entry| format!("{entry:?}")));
    lines.extend(expectations.iter().map(|expectation| format!("{expectation:?}")));
    lines.join("\n")
}

fn show_guest(guest: &GuestPlan, lines: &mut Vec<String>) {
    let GuestPlan { name, module, args, env, stdin, directories, interfaces, routes, .. } = guest;
    let GuestPlan {
        listeners,
        connections,
        protocols,
        memory_bytes_max,
        cpu_hz,
        fuel_max,
        descriptors_max,
        buffer_bytes_max,
        linger,
        start,
        ..
    } = guest;
    lines.push(format!("guest {name} {module:?} {args:?} {env:?} stdin {stdin:?}"));
    lines.push(format!(
        "  memory {memory_bytes_max} cpu {cpu_hz} fuel {fuel_max:?} descriptors {descriptors_max} buffers {buffer_bytes_max} linger {linger:?} start {start:?}"
    ));
    lines.extend(directories.iter().map(|directory| format!("  {directory:?}")));
    show_network(interfaces, routes, lines);
    if guest.automatic.iter().any(|it| *it != Default::default()) {
        lines.push(format!("  {:?} wait {:?}", guest.automatic, guest.address_wait));
    }
    lines.extend(listeners.iter().map(|listener| format!("  {listener:?}")));
    lines.extend(connections.iter().map(|connection| format!("  {connection:?}")));
    for protocol in protocols {
        let rules = |rules: &Option<Vec<Rule>>| match rules {
            None => "anything".to_owned(),
            Some(rules) => {
                format!("[{}]", rules.iter().map(Rule::to_string).collect::<Vec<_>>().join(", "))
            }
        };
        let kind = protocol.grant.kind();
        let Grant::Ip(settings) = &protocol.grant else {
            lines.push(format!("  protocol {} {:?}", protocol.name, protocol.grant));
            continue;
        };
        let ip::Settings { policy, .. } = &**settings;
        let (bind, connect) = (rules(&policy.bind), rules(&policy.connect));
        lines.push(format!("  protocol {} {kind} bind {bind} connect {connect}", protocol.name));
    }
}

fn show_network(interfaces: &[InterfaceConfig], routes: &[Route], lines: &mut Vec<String>) {
    for InterfaceConfig { name, mac, addresses, mtu } in interfaces {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        lines.push(format!("  {name} {mac} mtu {mtu} {}", addresses.join(" ")));
    }
    lines.extend(routes.iter().map(|Route { prefix, via }| format!("  {prefix} via {via}")));
}

/// The knobs that are not as on the ideal link.
pub(super) fn parameters(direction: &LinkParameters) -> String {
    let ideal = LinkParameters::default();
    let mut knobs = Vec::new();
    macro_rules! show {
        ($($knob:ident),*) => {
            // Taken apart whole, as above.
            let LinkParameters { $($knob),* } = direction;
            $(if *$knob != ideal.$knob {
                knobs.push(format!(concat!(stringify!($knob), " {:?}"), $knob));
            })*
        };
    }
    show!(
        up, mtu, delay, jitter, rate, framing, queue, discipline, loss, loss_marks, duplicate, corrupt,
        reorder, script
    );
    if knobs.is_empty() { "ideal".to_owned() } else { knobs.join(", ") }
}
