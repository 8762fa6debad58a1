//! The guest `abi_edge` does what its records say: the property tests of the ABI stand on that.

use std::path::Path;

use wasmtime::{Caller, Engine, Extern, ExternType, Linker, Module, Store, Val};

/// Standard input and what was called.
#[derive(Default)]
struct Host {
    input: Vec<u8>,
    calls: Vec<String>,
    /// What every call but the guest's own reading of records answers.
    answer: i32,
}

fn record(function: u64, arguments: [u64; 9]) -> Vec<u8> {
    [function].iter().chain(&arguments).flat_map(|value| value.to_le_bytes()).collect()
}

/// `fd_read` on descriptor 0, enough of it for the guest: one iovec, seven bytes at a time.
fn read_input(caller: &mut Caller<'_, Host>, iovec: usize, result: usize) {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else { panic!("a memory") };
    let (bytes, host) = memory.data_and_store_mut(caller);
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    let (buf, room) = (word(iovec), word(iovec + 4));
    let len = room.min(7).min(host.input.len());
    bytes[buf..buf + len].copy_from_slice(&host.input[..len]);
    bytes[result..result + 4].copy_from_slice(&(len as u32).to_le_bytes());
    host.input.drain(..len);
}

/// The eight bytes of the guest's memory from there on.
fn peek(caller: &mut Caller<'_, Host>, at: usize) -> u64 {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else { panic!("a memory") };
    u64::from_le_bytes(memory.data(&caller)[at..at + 8].try_into().expect("eight bytes"))
}

/// Runs the guest on these records, every import a stub that notes its call.
fn run(input: Vec<u8>, answer: i32) -> (wasmtime::Result<()>, Vec<String>) {
    let engine = Engine::default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/wat/abi_edge.wat");
    let module = Module::from_file(&engine, path).expect("abi_edge is a module");
    let mut linker = Linker::<Host>::new(&engine);
    for import in module.imports() {
        let ExternType::Func(kind) = import.ty() else { panic!("{} is no function", import.name()) };
        let name = import.name().to_owned();
        linker
            .func_new(import.module(), import.name(), kind, move |mut caller, params, results| {
                let own = name == "fd_read" && params[0].i32() == Some(0) && params[1].i32() == Some(96);
                results[0] = Val::I32(if own { 0 } else { caller.data().answer });
                if name == "random_get" {
                    let seen = peek(&mut caller, params[0].unwrap_i32() as usize);
                    caller.data_mut().calls.push(format!("random_get(sees {seen:#x})"));
                } else if own {
                    read_input(&mut caller, 96, 104);
                } else {
                    let values: Vec<_> =
                        params.iter().map(|value| value.i64().or(value.i32().map(i64::from))).collect();
                    let values: Vec<_> =
                        values.into_iter().map(|value| value.unwrap_or_default().to_string()).collect();
                    caller.data_mut().calls.push(format!("{name}({})", values.join(", ")));
                }
                Ok(())
            })
            .expect("names are unique");
    }
    let mut store = Store::new(&engine, Host { input, answer, ..Host::default() });
    let instance = linker.instantiate(&mut store, &module).expect("abi_edge links");
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start").expect("`_start`");
    let outcome = start.call(&mut store, ());
    (outcome, store.into_data().calls)
}

#[test]
fn every_function_is_called_by_its_number() {
    let engine = Engine::default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/wat/abi_edge.wat");
    let module = Module::from_file(&engine, path).expect("abi_edge is a module");
    let imports: Vec<_> = module.imports().map(|import| import.name().to_owned()).collect();
    let arguments = [11, 12, 13, 14, 15, 16, 17, 18, 19];
    let input = (0..imports.len() as u64).flat_map(|number| record(number, arguments)).collect();
    let (outcome, calls) = run(input, 0);
    outcome.expect("ends well");
    let called: Vec<_> = calls.iter().filter_map(|call| call.split('(').next()).collect();
    assert_eq!(called, imports);
    let longest = calls.iter().max_by_key(|call| call.matches(',').count());
    assert_eq!(longest.map(String::as_str), Some("path_open(11, 12, 13, 14, 15, 16, 17, 18, 19)"));
}

/// A function that the ABI gains is called by the property tests and the fuzz target, or this fails.
#[test]
fn none_of_the_module_s_functions_is_left_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let witx = std::fs::read_to_string(root.join("witx/networking.witx")).expect("the witx is there");
    let functions = witx.split("(@interface func (export \"").skip(1);
    let mut functions: Vec<_> = functions.filter_map(|rest| rest.split('"').next()).collect();
    let engine = Engine::default();
    let module = Module::from_file(&engine, root.join("tests/guests/wat/abi_edge.wat")).expect("a module");
    let mut imports: Vec<_> = module
        .imports()
        .filter(|import| import.module() == "networking")
        .map(|import| import.name().to_owned())
        .collect();
    functions.sort_unstable();
    imports.sort_unstable();
    assert_eq!(imports, functions);
}

#[test]
fn arguments_are_cut_pokes_store_and_a_short_record_ends_it() {
    let wide = 0xffff_ffff_0000_0007;
    let mut input = record(9, [wide, 1, wide, 0, 0, 0, 0, 0, 0]); // option_set
    input.extend(record(58, [512, 0xdead_beef, 0, 0, 0, 0, 0, 0, 0])); // a poke
    input.extend(record(49, [512, 8, 0, 0, 0, 0, 0, 0, 0])); // random_get, which looks
    input.extend(record(59 * 3 + 2, [3, 4, 0, 0, 0, 0, 0, 0, 0])); // accept, by its remainder
    input.extend([1, 2, 3]);
    let (outcome, calls) = run(input, 76);
    outcome.expect("ends well");
    insta::assert_snapshot!(calls.join("\n"), @r"
    option_set(7, 1, -4294967289)
    random_get(sees 0xdeadbeef)
    accept(3, 4)
    ");
}

#[test]
fn an_answer_that_is_no_errno_traps() {
    let (outcome, calls) = run(record(1, [0; 9]), 77);
    let error = format!("{:?}", outcome.expect_err("traps"));
    assert!(error.contains("not_an_errno"), "{error}");
    assert_eq!(calls, ["listen(0, 0)"]);
}
