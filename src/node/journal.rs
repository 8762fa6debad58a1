//! What protocol objects have to tell beside their answers: remarks for the trace, secrets for the capture, and events of QUIC
//! connections for whoever asked for them.

use std::path::Path;
use std::sync::Arc;

/// Remarks of one turn; the rest of them are counted.
const REMARKS_MAX: usize = 256;

#[derive(Debug, Default)]
pub struct Journal {
    /// Whether anybody reads remarks.
    pub traced: bool,
    /// `None` before there was anything to tell.
    told: Option<Box<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    remarks: Vec<String>,
    left_out: usize,
    secrets: Vec<String>,
    qlogs: Vec<(Arc<Path>, Vec<u8>)>,
}

impl Journal {
    /// A sentence for whoever reads the trace: why a call was refused, what a peer did wrong. Never a secret.
    pub fn remark(&mut self, text: impl FnOnce() -> String) {
        if !self.traced {
            return;
        }
        let told = self.told();
        if told.remarks.len() < REMARKS_MAX {
            told.remarks.push(text());
        } else {
            told.left_out += 1;
        }
    }

    /// A line of a key log, as `SSLKEYLOGFILE` has it, without the newline.
    pub fn secret(&mut self, line: String) {
        self.told().secrets.push(line);
    }

    /// Bytes of a qlog, and the file that it is meant for. Whoever has none written tells nothing.
    pub fn qlog(&mut self, path: &Arc<Path>, bytes: Vec<u8>) {
        self.told().qlogs.push((Arc::clone(path), bytes));
    }

    fn told(&mut self) -> &mut Told {
        self.told.get_or_insert_default()
    }

    pub fn take_remarks(&mut self) -> Vec<String> {
        let Some(told) = &mut self.told else { return Vec::new() };
        let mut remarks = std::mem::take(&mut told.remarks);
        if told.left_out > 0 {
            remarks.push(format!("{} more remarks", std::mem::take(&mut told.left_out)));
        }
        remarks
    }

    pub fn take_secrets(&mut self) -> Vec<String> {
        self.told.as_mut().map_or_else(Vec::new, |told| std::mem::take(&mut told.secrets))
    }

    pub fn take_qlogs(&mut self) -> Vec<(Arc<Path>, Vec<u8>)> {
        self.told.as_mut().map_or_else(Vec::new, |told| std::mem::take(&mut told.qlogs))
    }
}
