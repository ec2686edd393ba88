//! Commands in the guest that are ended together.

use std::cell::{Cell, RefCell};

use mlua::{Table, UserData, UserDataMethods, Value};

use super::commands::{run_command, start_command};
use super::handle::Vm;
use super::process::{self, Process};
use crate::script::bind::{CallResult, LuaDuration, Methods, look_up};
use crate::script::context::{Context, SharedVm};

const CLASS: &str = "worker";

struct Worker {
    vm: SharedVm,
    started: RefCell<Vec<Process>>,
    is_closed: Cell<bool>,
}

impl UserData for Worker {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        look_up(methods, CLASS);
    }
}

impl Worker {
    fn check_open(&self) -> CallResult<()> {
        match self.is_closed.get() {
            true => Err("the worker is closed".into()),
            false => Ok(()),
        }
    }
}

/// Adds the call that gives a worker to the methods of a VM.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("spawn_worker", spawn_worker)
}

fn spawn_worker(_: &Context, vm: &Vm, (): ()) -> CallResult<Worker> {
    Ok(Worker {
        vm: vm.shared().clone(),
        started: RefCell::default(),
        is_closed: Cell::default(),
    })
}

/// Makes the methods of a worker known.
pub(super) fn register(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, CLASS)?;
    methods.add("run", run)?;
    methods.add("run_async", run_async)?;
    methods.add("kill", kill)?;
    methods.add("join", join)?;
    methods.add("close", close)?;
    methods.register()
}

fn run(context: &Context, worker: &Worker, args: (Value, Value)) -> CallResult<Table> {
    worker.check_open()?;
    run_command(context, &worker.vm, "worker:run", args)
}

fn run_async(context: &Context, worker: &Worker, args: (Value, Value)) -> CallResult<Process> {
    worker.check_open()?;
    let process = start_command(context, &worker.vm, "worker:run_async", args)?;
    worker.started.borrow_mut().push(process.clone());
    Ok(process)
}

/// Sends a signal to all that the worker started.
fn kill(context: &Context, worker: &Worker, signal: Option<String>) -> CallResult<()> {
    let started = worker.started.borrow();
    let mut started = started.iter();
    started.try_for_each(|process| process::kill(context, process, signal.clone()))
}

/// Waits for all that the worker started; the results are in the order of the starts.
fn join(
    context: &Context,
    worker: &Worker,
    timeout: Option<LuaDuration>,
) -> CallResult<Vec<Table>> {
    let started = worker.started.borrow();
    let results = started
        .iter()
        .map(|process| process::wait(context, process, timeout));
    results.collect()
}

fn close(context: &Context, worker: &Worker, (): ()) -> CallResult<()> {
    worker.is_closed.set(true);
    let killed = kill(context, worker, Some("KILL".into()));
    worker.started.borrow_mut().clear();
    killed
}
