//! The test guests as modules: what `scripts/guests` builds asks for nothing but the two ABIs, by their types.
//!
//! Every guest is linked (not run) against wasmtime's own preview 1 and against a `networking` module that has
//! exactly the witx's functions; a header, crate or import that has drifted from the witx does not link.

use std::path::{Path, PathBuf};
use std::process::Command;

use wasmtime::{Engine, ExternType, FuncType, Linker, Module, ValType};
use wasmtime_wasi::p1::WasiP1Ctx;

/// Brings the guests of the groups up to date, and tells the files they are in, by name.
fn built(groups: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("scripts/guests");
    let status = Command::new(&script).args(groups).status().expect("scripts/guests runs");
    assert!(status.success(), "scripts/guests {groups:?} failed: see its output");
    let list = Command::new(&script).arg("--list").args(groups).output().expect("scripts/guests runs");
    let names = String::from_utf8(list.stdout).expect("names are UTF-8");
    let file = |name: &str| {
        let path = root.join("target/guests").join(name);
        if path.with_extension("wat").exists() {
            path.with_extension("wat")
        } else {
            path.with_extension("wasm")
        }
    };
    names.lines().map(file).collect()
}

fn core_type(kind: &witx::WasmType) -> ValType {
    match kind {
        witx::WasmType::I32 => ValType::I32,
        witx::WasmType::I64 => ValType::I64,
        witx::WasmType::F32 => ValType::F32,
        witx::WasmType::F64 => ValType::F64,
    }
}

/// Preview 1, and the witx's functions, each of which traps.
fn linker(engine: &Engine) -> Linker<WasiP1Ctx> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_sync(&mut linker, |context| context).expect("preview 1 links");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/witx/networking.witx");
    let document = witx::load(&[path]).unwrap_or_else(|error| panic!("{}", error.report()));
    let module = document.modules().next().expect("the witx has a module");
    for func in module.funcs() {
        let (params, results) = func.wasm_signature();
        let kind = FuncType::new(engine, params.iter().map(core_type), results.iter().map(core_type));
        linker
            .func_new(module.name.as_str(), func.name.as_str(), kind, |_, _, _| {
                wasmtime::bail!("not to be called")
            })
            .expect("names are unique");
    }
    linker
}

/// What keeps a guest from being started, if anything.
fn fault(engine: &Engine, linker: &Linker<WasiP1Ctx>, path: &Path) -> Option<String> {
    let module = match Module::from_file(engine, path) {
        Ok(module) => module,
        Err(error) => return Some(format!("{error:#}")),
    };
    if let Err(error) = linker.instantiate_pre(&module) {
        return Some(format!("{error:#}"));
    }
    let start = matches!(module.get_export("_start"), Some(ExternType::Func(_)));
    let memory = matches!(module.get_export("memory"), Some(ExternType::Memory(_)));
    match (start, memory) {
        (true, true) => None,
        (false, _) => Some("no `_start`".to_owned()),
        (true, false) => Some("no `memory`".to_owned()),
    }
}

#[test]
fn c_and_rust_guests_link() {
    let engine = Engine::default();
    let linker = linker(&engine);
    let guests = built(&["c", "rust"]);
    assert!(guests.len() > 20, "only {} guests were built", guests.len());
    let faults: Vec<_> =
        guests.iter().filter_map(|path| Some((path.file_name()?, fault(&engine, &linker, path)?))).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The guests made to fail do so for their own reason, and the others do not.
#[test]
fn text_guests_fail_where_they_should() {
    let engine = Engine::default();
    let linker = linker(&engine);
    let report: Vec<_> = built(&["wat"])
        .iter()
        .map(|path| {
            let name = path.file_stem().expect("a file").to_string_lossy();
            let fault = fault(&engine, &linker, path).unwrap_or_else(|| "starts".to_owned());
            // The rest of a message is wasmtime's wording and the path.
            let known = ["type mismatch", "unknown import", "no `_start`", "no `memory`", "starts"];
            let fault = known.into_iter().find(|part| fault.contains(part)).unwrap_or(&fault);
            format!("{name}: {fault}")
        })
        .collect();
    insta::assert_snapshot!(report.join("\n"), @r"
    abi_edge: starts
    bad: type mismatch
    clock_exact: starts
    grow: starts
    hello: starts
    missing_import: unknown import
    nomemory: no `memory`
    nostart: no `_start`
    spin: starts
    trap: starts
    ");
}
