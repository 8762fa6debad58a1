//! The compiler and its settings; modules, compiled once each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use wasmtime::{Cache, CacheConfig, CodeBuilder, Config, InstancePre, Linker};

use crate::abi;
use crate::guest::{Exit, foreign};

/// What the driver chooses.
#[derive(Default)]
pub struct EngineSettings {
    /// Where compiled code is kept between runs; `None`: nowhere. One that cannot be had is done without.
    pub cache_folder: Option<PathBuf>,
    /// Guests of the lab: many share an address space, few can have 4 GiB each.
    pub guests: usize,
}

/// Guests from which on each gets no more address space than its memory.
const MANY_GUESTS: usize = 1_000;
/// Of a guest's own stack, and of the fiber that it and the host's calls run on.
const WASM_STACK_BYTES: usize = 512 * 1024;
const FIBER_STACK_BYTES: usize = 768 * 1024;

/// Compiles modules.
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Linker<abi::Context>,
    programs: Mutex<BTreeMap<PathBuf, Program>>,
}

/// A compiled module whose imports are all there.
#[derive(Clone)]
pub struct Program {
    instance: InstancePre<abi::Context>,
}

impl Engine {
    /// # Errors
    /// A processor that the compiler does not know.
    pub fn new(settings: EngineSettings) -> wasmtime::Result<Engine> {
        let mut config = Config::new();
        config.consume_fuel(true);
        // The same bits on every machine.
        config.cranelift_nan_canonicalization(true);
        config.relaxed_simd_deterministic(true);
        config.max_wasm_stack(WASM_STACK_BYTES);
        config.async_stack_size(FIBER_STACK_BYTES);
        config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(20));
        config.cache(settings.cache_folder.and_then(cache));
        if settings.guests >= MANY_GUESTS {
            config.memory_reservation(0);
            config.memory_reservation_for_growth(0);
            config.memory_guard_size(0);
            config.memory_init_cow(false);
        }
        let engine = wasmtime::Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        abi::add_to_linker(&mut linker)?;
        Ok(Engine { engine, linker, programs: Mutex::default() })
    }

    /// Compiles the module read from `path`, binary or text, once. A module without `_start`, with an import that nobody has, or that
    /// does not validate ends its guest alone.
    pub fn load(&self, path: &Path, bytes: &[u8]) -> Result<Program, Exit> {
        // A panic of the compiler leaves the table whole.
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = programs.get(path) {
            return Ok(program.clone());
        }
        let program = self.compile(path, bytes).map_err(|error| Exit::Failed(format!("{error:#}")))?;
        programs.insert(path.to_owned(), program.clone());
        Ok(program)
    }

    fn compile(&self, path: &Path, bytes: &[u8]) -> wasmtime::Result<Program> {
        if let Some((what, help)) = foreign::recognise(bytes) {
            wasmtime::bail!("{} {what}, not a core module of WASI preview 1; {help}", path.display());
        }
        let compiled = CodeBuilder::new(&self.engine)
            .wasm_binary_or_text(bytes, Some(path))
            .and_then(|code| code.compile_module());
        let module = compiled.map_err(|error| {
            error
                .context(format!("{} is not a core module of WASI preview 1 (wasm32-wasip1)", path.display()))
        })?;
        if module.get_export("_start").and_then(|export| export.func().cloned()).is_none() {
            let what = match module.get_export("_initialize") {
                Some(_) => "it is a library (a reactor), to be compiled as a program (a command)",
                None => "it is a library, not a program",
            };
            wasmtime::bail!("{} exports no function _start: {what}", path.display());
        }
        let instance = self.linker.instantiate_pre(&module).map_err(|error| {
            let origin = module.imports().find_map(|import| foreign::origin(import.module()));
            match origin {
                Some(origin) => wasmtime::format_err!("{}: {error:#}; {origin}", path.display()),
                None => error,
            }
        })?;
        Ok(Program { instance })
    }
}

fn cache(folder: PathBuf) -> Option<Cache> {
    let mut config = CacheConfig::new();
    config.with_directory(folder);
    Cache::new(config).ok()
}

impl Program {
    pub(super) fn engine(&self) -> &wasmtime::Engine {
        self.instance.module().engine()
    }

    pub(super) async fn instantiate(
        &self,
        store: &mut wasmtime::Store<abi::Context>,
    ) -> wasmtime::Result<wasmtime::Instance> {
        self.instance.instantiate_async(store).await
    }
}
