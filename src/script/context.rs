//! The state of a test file, which all of its objects share.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mlua::{AnyUserData, Function, Lua, LuaString, Table, Value, WeakLua};

use super::replaying::Replaying;
use crate::client::DiskControl;
use crate::config::Config;
use crate::events::{Event, TestInfo};
use crate::evidence::Watcher;
use crate::units::text;
use crate::vm::{Limit, Preparing, Process, State, Vm, VmError};

/// How often guests are checked while a test sleeps.
const LOOK: Duration = Duration::from_millis(100);

/// How long all processes that a test leaves behind may take to end, in total.
const END_OF_PROCESSES: Duration = Duration::from_secs(5);

/// A VM that several handles share.
pub(super) type SharedVm = Rc<RefCell<Vm>>;

/// A process in a guest that several handles share.
pub(super) type SharedProcess = Rc<RefCell<Process>>;

/// A test, as its file declared it.
pub(super) struct Declared {
    /// Its name as reports show it.
    pub(super) name: String,
    /// The same, byte for byte as its file gave it.
    pub(super) own_name: LuaString,
    pub(super) meta: Table,
    pub(super) run: Function,
    /// The line that declares it, from 1; 0 if it is not known.
    pub(super) line: u32,
}

impl Declared {
    /// The part of it that the runner knows. Tags are a list of words, or one word.
    pub(super) fn info(&self) -> TestInfo {
        let text = |tag: LuaString| text::escaped(&tag.as_bytes());
        let tags = match self.meta.get("tags") {
            Ok(Value::String(tag)) => vec![text(tag)],
            Ok(Value::Table(tags)) => tags.sequence_values().flatten().map(text).collect(),
            _ => Vec::new(),
        };
        TestInfo {
            name: self.name.clone(),
            tags,
            line: self.line,
        }
    }
}

/// The state of a test file. Clones share it.
#[derive(Clone)]
pub(super) struct Context(Rc<Inner>);

struct Inner {
    /// A weak one: Lua's objects hold the context, so that a strong one would keep both for ever.
    lua: WeakLua,
    prelude: RefCell<Option<Table>>,
    config: Config,
    /// Empty in a prompt.
    test_file: RefCell<PathBuf>,
    limit: Limit,
    cold: Cell<bool>,
    emit: RefCell<Box<dyn Fn(Event)>>,
    /// The tests that the file declares; None once it has been read.
    tests: RefCell<Option<Vec<Declared>>>,
    vms: RefCell<Vec<SharedVm>>,
    /// The processes that the running test has started in guests.
    processes: RefCell<Vec<(SharedVm, SharedProcess)>>,
    /// How long each test may take, if the file says so.
    test_timeout: Cell<Option<Duration>>,
    /// Whether the file's VMs go back after each test to what they were.
    resets: Cell<bool>,
    /// Why the file's tests are left out, if they are.
    todo: RefCell<Option<String>>,
    /// Which guest a test or its file needs and this machine lacks.
    lack: RefCell<Option<String>>,
    /// What watches the tests; None where nobody reads what they leave.
    watcher: Option<Rc<Watcher>>,
    title: Cell<Title>,
    replaying: RefCell<Option<Rc<Replaying>>>,
}

/// The name of an object, for the list of calls; None for one without.
pub(super) type Title = fn(&AnyUserData) -> Option<String>;

impl Context {
    /// The context of a file that runs in `lua`, which the caller keeps for as long.
    pub(super) fn new(
        lua: &Lua,
        config: Config,
        watcher: Option<Watcher>,
        emit: Box<dyn Fn(Event)>,
    ) -> Self {
        Self(Rc::new(Inner {
            lua: lua.weak(),
            prelude: RefCell::default(),
            config,
            test_file: RefCell::default(),
            limit: Limit::default(),
            cold: Cell::default(),
            emit: emit.into(),
            tests: RefCell::new(Some(Vec::new())),
            vms: RefCell::default(),
            processes: RefCell::default(),
            test_timeout: Cell::default(),
            resets: Cell::default(),
            todo: RefCell::default(),
            lack: RefCell::default(),
            watcher: watcher.map(Rc::new),
            title: Cell::new(|_| None),
            replaying: RefCell::default(),
        }))
    }

    pub(super) fn lua(&self) -> Lua {
        self.0.lua.upgrade()
    }

    pub(super) fn config(&self) -> &Config {
        &self.0.config
    }

    /// The test file; an empty path in a prompt.
    pub(super) fn test_file(&self) -> PathBuf {
        self.0.test_file.borrow().clone()
    }

    /// Says which file is the test file.
    pub(super) fn set_test_file(&self, path: PathBuf) {
        *self.0.test_file.borrow_mut() = path;
    }

    pub(super) fn limit(&self) -> &Limit {
        &self.0.limit
    }

    /// What watches the tests, if anything does.
    pub(super) fn watcher(&self) -> Option<&Watcher> {
        self.0.watcher.as_deref()
    }

    /// The name of the test file, as reports show it.
    pub(super) fn file(&self) -> String {
        text::path(&self.0.test_file.borrow())
    }

    /// Sets what knows the names of objects.
    pub(super) fn set_title(&self, title: Title) {
        self.0.title.set(title);
    }

    /// The name of an object, for the list of calls; None for one without.
    pub(super) fn title(&self, value: &Value) -> Option<String> {
        (self.0.title.get())(value.as_userdata()?)
    }

    /// Whether every boot is a real one.
    pub(super) fn is_cold(&self) -> bool {
        self.0.cold.get()
    }

    /// Makes every boot a real one.
    pub(super) fn set_cold(&self, cold: bool) {
        self.0.cold.set(cold);
    }

    pub(super) fn emit(&self, event: Event) {
        (self.0.emit.borrow())(event);
    }

    /// Has everybody told what is prepared while a call waits.
    pub(super) fn tell_preparing(&self) {
        // A weak one: the limit, too, belongs to the context.
        let context = Rc::downgrade(&self.0);
        self.limit().on_preparing(move |preparing| {
            if let Some(context) = context.upgrade() {
                let Preparing {
                    what,
                    percent,
                    is_first,
                    passed,
                } = preparing.clone();
                Self(context).emit(Event::Preparing {
                    what,
                    percent,
                    is_first,
                    passed: passed.as_secs_f64(),
                });
            }
        });
    }

    /// Ends the stream of events: its reader finds the end.
    pub(super) fn hang_up(&self) {
        *self.0.emit.borrow_mut() = Box::new(drop);
    }

    pub(super) fn set_prelude(&self, prelude: Table) {
        *self.0.prelude.borrow_mut() = Some(prelude);
    }

    /// Calls a function of the prelude.
    pub(super) fn prelude<R: mlua::FromLuaMulti>(
        &self,
        function: &str,
        args: impl mlua::IntoLuaMulti,
    ) -> mlua::Result<R> {
        self.of_prelude(function)?.call(args)
    }

    /// A function of the prelude.
    pub(super) fn of_prelude(&self, function: &str) -> mlua::Result<Function> {
        let prelude = self.0.prelude.borrow().clone();
        let prelude = prelude.ok_or_else(|| mlua::Error::runtime("the prelude is not loaded"))?;
        prelude.get(function)
    }

    /// A native as tests call it: a failure raises an error.
    pub(super) fn wrap(&self, native: Function) -> mlua::Result<Function> {
        self.prelude("wrap", native)
    }

    /// Has the disks of all VMs that are created from now on meet these faults alone.
    pub(super) fn replay(&self, replaying: Replaying) {
        *self.0.replaying.borrow_mut() = Some(Rc::new(replaying));
    }

    /// Whether they do.
    pub(super) fn is_replaying(&self) -> bool {
        self.0.replaying.borrow().is_some()
    }

    /// Whether the file has declared a test by now.
    pub(super) fn has_tests(&self) -> bool {
        self.0
            .tests
            .borrow()
            .as_ref()
            .is_some_and(|tests| !tests.is_empty())
    }

    /// Whether a test of this name does not belong to the replay of the file.
    fn is_left_out(&self, name: &str) -> bool {
        let replaying = self.0.replaying.borrow();
        let only = replaying
            .as_ref()
            .and_then(|replaying| replaying.test.as_deref());
        only.is_some_and(|only| only != name)
    }

    /// Adds a test; false when the file has one of that name.
    pub(super) fn declare(&self, test: Declared) -> bool {
        if self.is_left_out(&test.name) {
            return true;
        }
        let mut tests = self.0.tests.borrow_mut();
        let tests = tests.get_or_insert_default();
        let is_new = tests.iter().all(|other| other.name != test.name);
        if is_new {
            tests.push(test);
        }
        is_new
    }

    /// All tests, in the order of the file.
    pub(super) fn take_tests(&self) -> Vec<Declared> {
        self.0.tests.take().unwrap_or_default()
    }

    /// Whether the file has been read.
    pub(super) fn is_loaded(&self) -> bool {
        self.0.tests.borrow().is_none()
    }

    /// Sleeps; fails when the test's time is up, and when a guest ends meanwhile.
    pub(super) fn sleep(&self, duration: Duration) -> Result<(), VmError> {
        let end = Instant::now() + duration;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            self.limit().sleep(left.min(LOOK))?;
            if left.is_zero() {
                return Ok(());
            }
            self.check_guests()?;
        }
    }

    /// Fails, once, when a guest of the scope has ended and no call has reported it.
    pub(super) fn check_guests(&self) -> Result<(), VmError> {
        let vms = self.0.vms.borrow();
        // A VM in the middle of a call reports it itself.
        let mut idle = vms.iter().filter_map(|vm| vm.try_borrow_mut().ok());
        idle.try_for_each(|mut vm| vm.check())
    }

    /// Adds a VM to the current scope.
    pub(super) fn add_vm(&self, mut vm: Vm) -> SharedVm {
        self.watch_vm(&mut vm);
        self.emit(Event::Vm {
            name: vm.name().to_owned(),
            console: vm.console_path(),
        });
        let vm = Rc::new(RefCell::new(vm));
        self.0.vms.borrow_mut().push(Rc::clone(&vm));
        vm
    }

    fn watch_vm(&self, vm: &mut Vm) {
        if let Some(replaying) = self.0.replaying.borrow().clone() {
            let name = vm.name().to_owned();
            vm.replay(Box::new(move |id| Some(replaying.begin_disk(&name, id))));
        }
        let Some(watcher) = &self.0.watcher else {
            return;
        };
        let name = vm.name().to_owned();
        watcher.add_console(&name, &vm.console_path());
        let watcher = Rc::clone(watcher);
        vm.on_new_disk(Box::new(move |disk: &DiskControl| {
            watcher.add_disk(Some(&name), disk.clone());
        }));
    }

    /// Ends a VM, after a last look at it.
    pub(super) fn close_vm(&self, vm: &SharedVm) {
        if let Some(watcher) = &self.0.watcher {
            watcher.forget_vm(vm.borrow().name());
        }
        vm.borrow_mut().close();
    }

    /// The VM called `name`, if there is one.
    pub(super) fn find_vm(&self, name: &str) -> Option<SharedVm> {
        let vms = self.0.vms.borrow();
        vms.iter().find(|vm| vm.borrow().name() == name).cloned()
    }

    /// All VMs of the current scope and those around it, oldest first.
    pub(super) fn scope(&self) -> Vec<SharedVm> {
        self.0.vms.borrow().clone()
    }

    /// Sets whether the file's VMs go back after each test to what they were when the first one began.
    pub(super) fn set_resets(&self, resets: bool) {
        self.0.resets.set(resets);
    }

    /// Whether they do.
    pub(super) fn resets(&self) -> bool {
        self.0.resets.get()
    }

    /// Leaves the file's tests out.
    pub(super) fn set_todo(&self, reason: String) {
        *self.0.todo.borrow_mut() = Some(reason);
    }

    /// Why the file's tests are left out, if they are.
    pub(super) fn todo(&self) -> Option<String> {
        self.0.todo.borrow().clone()
    }

    /// Notes that the test or the file, which now fails, needs an optional guest that is not built. In CI it fails.
    pub(super) fn set_lack(&self, reason: String) {
        if std::env::var_os("CI").is_none() {
            *self.0.lack.borrow_mut() = Some(reason);
        }
    }

    /// The note, once.
    pub(super) fn take_lack(&self) -> Option<String> {
        self.0.lack.borrow_mut().take()
    }

    /// A mark for [`close_vms_since`](Self::close_vms_since): the number of VMs of the outer scopes.
    pub(super) fn vm_count(&self) -> usize {
        self.0.vms.borrow().len()
    }

    /// Ends the scope that began at `mark`: its VMs are closed, newest first.
    pub(super) fn close_vms_since(&self, mark: usize) {
        let closing = self.0.vms.borrow_mut().split_off(mark);
        for vm in closing.iter().rev() {
            self.close_vm(vm);
        }
    }

    /// Adds a process that ends with the test, if a test runs.
    pub(super) fn add_process(&self, vm: &SharedVm, process: &SharedProcess) {
        if self.is_loaded() {
            let started = (Rc::clone(vm), Rc::clone(process));
            self.0.processes.borrow_mut().push(started);
        }
    }

    /// Ends the processes that the test has started in guests that outlive it.
    pub(super) fn end_processes(&self) {
        self.limit().set(Some(Instant::now() + END_OF_PROCESSES));
        for (vm, process) in self.0.processes.take() {
            let mut vm = vm.borrow_mut();
            if vm.state() != State::Booted {
                continue;
            }
            let ended = vm.wait(&mut process.borrow_mut(), Some(Duration::ZERO));
            // Any other error means that the guest does not know the process, as after a reset.
            if let Err(
                VmError::TimeIsUp | VmError::TimeIsUpInSilence(_) | VmError::PausedByError { .. },
            ) = ended
            {
                let (name, pid) = (vm.name(), process.borrow().pid());
                let text = format!("vm `{name}`: process {pid} did not end with its test");
                self.emit(Event::Log { text });
            }
        }
        self.limit().set(None);
    }

    /// Sets how long a test without a timeout of its own may take.
    pub(super) fn set_test_timeout(&self, timeout: Option<Duration>) {
        self.0.test_timeout.set(timeout);
    }

    /// How long a test without a timeout of its own may take, if the file says so.
    pub(super) fn test_timeout(&self) -> Option<Duration> {
        self.0.test_timeout.get()
    }
}
