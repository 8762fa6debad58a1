//! The peer of a capture: write(2) of as many bytes.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use crate::lab::{THREAD, cpu_time};

/// The same by the CPU time that it takes.
pub fn write_busy(path: &Path, bytes: u64) -> f64 {
    let start = cpu_time(THREAD);
    write(path, bytes);
    (cpu_time(THREAD) - start).as_secs_f64()
}

/// Seconds for a new file of so many bytes, written a mebibyte at a time.
pub fn write(path: &Path, mut bytes: u64) -> f64 {
    let block = vec![7; 1 << 20];
    let start = Instant::now();
    let mut file = File::create(path).expect("a file");
    while bytes > 0 {
        let len = bytes.min(block.len() as u64);
        file.write_all(&block[..len as usize]).expect("room on the disk");
        bytes -= len;
    }
    drop(file);
    let elapsed = start.elapsed().as_secs_f64();
    std::fs::remove_file(path).expect("the file");
    elapsed
}
