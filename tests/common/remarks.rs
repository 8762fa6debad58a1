//! What protocol objects say in the trace of a lab.

use std::collections::BTreeSet;

use guestnet::lab::Report;

/// What protocol objects had to say in the trace, each line once.
pub fn remarks(report: &Report) -> BTreeSet<String> {
    let remarks = report.calls.iter().filter_map(|call| {
        let (_, remark) = call.line.split_once(" -- ")?;
        Some(format!("{}: {remark}", report.guests[call.guest].name))
    });
    remarks.map(without_ports).collect()
}

/// `10.0.0.3:49152` without the port, which a seed has chosen.
fn without_ports(text: String) -> String {
    let words = text.split(' ').map(|word| match word.rsplit_once(':') {
        Some((host, port)) if host.contains('.') && port.len() == 5 => format!("{host}:PORT"),
        Some(_) | None => word.to_owned(),
    });
    // A port before a colon, as in "with 10.0.0.3:49152: why".
    let words = words.map(|word| {
        let Some(rest) = word.strip_suffix(':') else { return word };
        match rest.rsplit_once(':') {
            Some((host, port)) if port.len() == 5 => format!("{host}:PORT:"),
            Some(_) | None => word,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
