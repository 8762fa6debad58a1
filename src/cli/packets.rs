//! `guestnet packets`: the packets of a capture, a line each.

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use guestnet::capture;
use guestnet::filter::{Dissector, Filter};

use super::Failure;

/// Lists the packets of a capture, a line each, chosen by Wireshark's display filters
///
/// A line has the packet's number in the capture, the seconds since the first packet's, the port that it was seen at, whether
/// it left by that (`>`) or came in (`<`), what it is, and why the link dropped it, if it did. The analysis of TCP is done
/// for each port by itself.
#[derive(clap::Args)]
pub struct Arguments {
    /// The capture, a pcapng file
    capture: PathBuf,
    /// Which packets, such as 'tcp.flags.reset == 1' [default: all]
    filter: Option<String>,
    /// Only those seen here: a port, or a guest, router or switch for all of its ports
    #[arg(long, value_name = "PORT")]
    at: Vec<String>,
    /// Tell how many there are instead
    #[arg(long)]
    count: bool,
}

pub fn packets(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let filter = match &arguments.filter {
        None => None,
        Some(text) => Some(Filter::parse(text).map_err(|error| {
            Failure::usage(format!("filter: {}", error.message()), error.help_text().unwrap_or_default())
        })?),
    };
    let path = arguments.capture.display();
    let file = std::fs::read(&arguments.capture).map_err(Failure::io(path.to_string()))?;
    let (session, records) = capture::records(&file).map_err(|why| {
        Failure::usage(format!("{path} {why}"), "a pcapng file, as `guestnet run --capture` writes it")
    })?;
    let named =
        |port: &capture::PortInfo| arguments.at.iter().any(|name| capture::is_port_of(&port.name, name));
    let at: Vec<bool> = session.ports.iter().map(|port| arguments.at.is_empty() || named(port)).collect();
    if !at.contains(&true) && !session.ports.is_empty() {
        let ports: Vec<_> = session.ports.iter().map(|port| port.name.as_str()).collect();
        return Err(Failure::usage(
            format!("{path} has no port {}", arguments.at.join(", ")),
            format!("it has {}", ports.join(", ")),
        ));
    }
    let mut dissector = Dissector::new(&session);
    let packets = records.iter().map(|record| dissector.dissect(record));
    let mut chosen = packets
        .filter(|packet| at.get(packet.record().port as usize).copied().unwrap_or(false))
        .filter(|packet| filter.as_ref().is_none_or(|filter| filter.matches(packet)));
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = match arguments.count {
        true => writeln!(out, "{}", chosen.count()),
        false => chosen.try_for_each(|packet| writeln!(out, "{packet}")),
    };
    match written.and_then(|()| out.flush()) {
        // Whoever reads has seen enough, as head(1) has.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS).map_err(Failure::io("standard output")),
    }
}
