---@meta

-- What provium gives to a test file, for lua-language-server and its kin. Nothing here is run.
-- Every error is a string: the place of the call, the call's name, what is wrong.

---Seconds as a number, or a text with a unit: `"200us"`, `"50ms"`, `"1.5s"`, `"2m"`, `"1h"`. A negative, infinite or NaN one is an error.
---@alias provium.Duration number|string

---`eio_read`: reads fail with EIO. `eio_write`: writes fail with EIO. `slow`: reads and writes wait 50 ms first.
---@alias provium.FaultMode "eio_read"|"eio_write"|"slow"

---`paused`: its processors are stopped. `shutdown`: by a call, by the guest itself, or closed. `dead`: panicked, not booted in time, or QEMU ended.
---@alias provium.VmState "created"|"booted"|"paused"|"shutdown"|"dead"

---How a command in the guest ended: by itself, by a signal, or killed at its time-out.
---@alias provium.ExitStatus "exited"|"signalled"|"timed_out"

---What a test says of itself; keys of your own are kept too, and found in `t.meta`.
---@class provium.Meta
---@field skip? boolean|string Leaves the test out; a string is the reason.
---@field slow? boolean Leaves the test out unless `--include-slow` is given.
---@field tags? string|string[] What `--tag` and `--no-tag` select by.
---@field timeout? provium.Duration How long the test may take, in place of `provium.timeout` and `--timeout`.
---@field [string] any

---@class provium.WaitOptions
---@field timeout? provium.Duration How long to try at most. Default: 10 seconds.
---@field interval? provium.Duration The pause between two tries. Default: 0.1 seconds.
---@field desc? string What is waited for, for the error. Default: `"condition"`.

---@class provium.BootOptions
---@field memory? string|integer A size with a unit, 16M or more: `"256M"`, or bytes. Default: the profile's.
---@field cpus? integer How many processors, 1 to 255. Default: the profile's.
---@field kernel_cmdline? string Added to the kernel's command line. Default: nothing.
---@field kernel_cmdline_append? string The same. Default: nothing.
---@field agent_timeout? provium.Duration How long all of the boot may take, and a reset. Default: 60 seconds.
---@field files? provium.BootFile[] Files that are written once the agent answers. Default: none.
---@field disks? provium.BootDisk[] Disks that are attached before the guest starts; `vm:disk(id)` finds them. Default: none.
---@field cold? boolean Whether the kernel boots even where a saved state could go on. Default: false.

---@class provium.BootFile
---@field path string In the guest.
---@field content? string All that is in it. Default: `""`.
---@field mode? integer|string Permission bits: a number, or an octal string such as `"0755"`.

---A disk has exactly one of `path`, `scratch` and `template`.
---@class provium.BootDisk
---@field path? string An image of the host; a relative one starts at the working folder of the run. Default: none.
---@field scratch? string|integer The size of an empty image that goes with the VM: `"256M"`, or bytes. Default: none.
---@field template? string An image of the host of which the VM gets a copy of its own, which goes with it. Default: none.
---@field id? string Its name, by its place in the list unless given. Default: `boot0`, `boot1` and so on.
---@field readonly? boolean Whether writes are refused, in the guest and on the host. Default: false.
---@field fixed? boolean Whether a write behind the end fails with ENOSPC, as on a real disk; else the image grows. Default: true.

---@class provium.AttachOptions
---@field id? string A letter, then up to 62 letters, digits, `.`, `_` or `-`; not `ctl`. Default: `attached-VM`.
---@field image? string The backing image; a relative path starts at the working folder of the run. Without one the disk is a record on the host. Default: none.
---@field size? integer The modelled size in bytes, of a disk without an image. Default: 4 GiB.
---@field readonly? boolean Whether writes are refused, in the guest and on the host. Default: false.
---@field fixed? boolean Whether a write behind the end fails with ENOSPC, as on a real disk; else the image grows. Default: true.

---Without `args`, and without arguments in the table itself, the text goes to `sh -c`.
---@class provium.RunOptions
---@field [integer] string The arguments, in place of `args`.
---@field args? string[] The arguments; the program is started without a shell. Default: none.
---@field env? table<string, string> Added to the environment of the guest's agent. Default: none.
---@field env_clear? boolean Whether `env` is all of the environment. Default: false.
---@field cwd? string The working folder in the guest. Default: the agent's.
---@field stdin? string The standard input. Default: nothing.
---@field timeout? provium.Duration The command is killed after this long; when the test's time is up, it is an error. Default: none.
---@field timeout_ms? integer The same in milliseconds. Default: none.

---The same without `timeout`: that belongs to `process:wait`.
---@class provium.RunAsyncOptions
---@field [integer] string The arguments, in place of `args`.
---@field args? string[] The arguments; the program is started without a shell. Default: none.
---@field env? table<string, string> Added to the environment of the guest's agent. Default: none.
---@field env_clear? boolean Whether `env` is all of the environment. Default: false.
---@field cwd? string The working folder in the guest. Default: the agent's.
---@field stdin? string The standard input. Default: nothing.

---@class provium.MkdirOptions
---@field parents? boolean Makes the folders above it too, and takes one that is there. Default: false.
---@field perm? integer|string Permission bits: a number, or an octal string such as `"0755"`.

---Which requests a rule acts on; docs/faults.md has all of it.
---@class provium.Selectors
---@field op? string|string[] Of `read`, `write`, `flush`, `discard`, `zero`; or `"all"`.
---@field at? string|string[] Ranges of sectors: `"2048+8"`.
---@field size? string Bytes of the request: `"4K..1M"`.
---@field from? "guest" Not the sector calls of a test.
---@field skip? integer So many matching requests are passed over first.
---@field every? integer Of the rest each so-manieth is taken.
---@field times? integer It acts so often and no more.
---@field p? number Of these with this probability, from 0 to 1.
---@field seed? integer Where its random numbers begin.
---@field after? provium.Duration It begins so long after it was armed, whatever the test does meanwhile.
---@field for? provium.Duration For how long it acts then.
---@field up? provium.Duration With `down`: how long it acts, by turns.
---@field down? provium.Duration With `up`: how long it does not.
---@field when? string Only once a rule with this tag has fired.
---@field tag? string Its own name.

---@class provium.Rule : provium.Selectors
---@field action "error"|"delay"|"hang"|"corrupt"|"lose"|"tear"|"misdirect"|"stale"|provium.FaultMode
---@field errno? string|integer Of an error: a name, or a number from 1 to 511; EIO without it.
---@field by? string Of a delay `"50ms"` or `"20ms..80ms"`, of a misdirection `"+8"` or `"-8"` sectors.
---@field max? provium.Duration Of a hang: how long at most. Default: 60 seconds.
---@field then? string|integer Of a hang or a tear: `"ok"` or an errno.
---@field how? "flip"|"zero"|"random"|"fill" Of a corruption.
---@field bits? integer How many bits are flipped. Default: 1.
---@field byte? integer|string What is filled in.
---@field keep? integer Sectors of a torn write that reach the image.

---What a rule has done.
---@class provium.RuleState
---@field rule string Its text.
---@field considered integer Requests of its kinds and sectors.
---@field matched integer Requests that it is for.
---@field fired integer How often it acted.
---@field left? integer How often it may still act, if that is limited.
---@field never? string Why it can never act, if it cannot.
---@field note? string What else is to be known.

---What the guest's requests meet; what is not set is nil.
---@class provium.Policy
---@field fail_reads boolean
---@field fail_writes boolean
---@field fail_after? integer
---@field fail_range_sector? integer
---@field fail_range_count? integer
---@field delay_ms? integer

---A request that is not answered yet.
---@class provium.InFlight
---@field op string
---@field sector integer
---@field count integer
---@field age number Seconds.
---@field rule? string What it waits for; nil while it is served.

---@alias provium.EntryType "file"|"directory"|"symlink"|"fifo"|"socket"|"block_device"|"char_device"|"other"

---@class provium.FileStat
---@field size integer Bytes.
---@field mode integer Permission bits.
---@field perm integer The same.
---@field entry_type provium.EntryType
---@field kind "file"|"dir"|"other"
---@field mtime integer Seconds since 1970.
---@field mtime_ns integer Nanoseconds since 1970.
---@field uid integer
---@field gid integer

---@class provium.Entry
---@field name string
---@field entry_type provium.EntryType Of the entry itself: a link is not followed.

---A test, while it runs. A failed assertion fails it even when a pcall swallows the error.
---@class provium.T
---@field name string
---@field meta provium.Meta Empty without one.
local T = {}

---Fails with `message`, or "assertion failed", unless `condition` is true; returns it.
---@generic V
---@param condition V?
---@param message? any
---@return V
function T:assert(condition, message) end

---Fails unless `a` and `b` are rawequal; `message` replaces the beginning of the error.
---@param a any
---@param b any
---@param message? any
function T:assert_eq(a, b, message) end

---Fails if `a` and `b` are rawequal; `message` replaces the beginning of the error.
---@param a any
---@param b any
---@param message? any
function T:assert_neq(a, b, message) end

---Fails unless `needle` occurs in `haystack`, plainly and not as a pattern; raises for what is no text.
---@param haystack string|number
---@param needle string|number
---@param message? any
function T:assert_contains(haystack, needle, message) end

---Calls `fn`, fails unless it raises, and returns what it raised: a string where provium did. What `fn` asserts through `t` counts as raised.
---@param fn fun()
---@param message? any
---@return any error
function T:assert_raises(fn, message) end

---Fails the test with `message`, or "explicit failure (t:fail)".
---@param message? any
function T:fail(message) end

---Ends the test as skipped, unless something in it fails.
---@param reason? string
function T:skip(reason) end

---Adds to the report what the values say, with tabs between them, up to 64 KiB.
---@param ... any
function T:log(...) end

---How a command in the guest ended, and what it printed.
---@class provium.RunResult
---@field exit_code integer -1 when a signal ended it, -2 when its time was up.
---@field stdout string
---@field stderr string
---@field status provium.ExitStatus
---@field timed_out boolean
---@field signal? integer The number of the signal that ended it.
---@field truncated boolean Whether the guest's agent kept only the first 16 MiB of stdout or stderr.
local RunResult = {}

---Whether the exit code is 0.
---@return boolean
function RunResult:ok() end

---Raises, with the code and the output, unless the exit code is 0.
---@return provium.RunResult self
function RunResult:assert_ok() end

---A command in the guest that was started and not waited for. It ends with the test that started it.
---@class provium.Process
local Process = {}

---Waits for its end and returns the result; kills it, and all that it started, at the time-out.
---@param timeout? provium.Duration Without it there is no limit but the test's.
---@return provium.RunResult
function Process:wait(timeout) end

---Sends a signal to it and to all that it started; does nothing once it has ended.
---@param signal? string|integer A name in any case, with SIG or without, or a number. Default: `"TERM"`.
function Process:kill(signal) end

---The same.
---@param signal? string|integer Default: `"TERM"`.
function Process:signal(signal) end

---Returns its process ID in the guest.
---@return integer
function Process:pid() end

---Returns how it ended, or `"running"`.
---@return "running"|provium.ExitStatus
function Process:status() end

---Kills it, and all that it started.
function Process:close() end

---Commands in the guest that are ended together.
---@class provium.Worker
local Worker = {}

---Runs a command to its end, as `vm:run`.
---@param program string
---@param options? string[]|provium.RunOptions
---@return provium.RunResult
---@overload fun(self: provium.Worker, text: string): provium.RunResult
function Worker:run(program, options) end

---Starts a command that belongs to the worker, as `vm:run_async`.
---@param program string
---@param options? string[]|provium.RunAsyncOptions
---@return provium.Process
---@overload fun(self: provium.Worker, text: string): provium.Process
function Worker:run_async(program, options) end

---Sends a signal to all that was started here.
---@param signal? string|integer A name, with SIG or without, or a number. Default: `"TERM"`.
function Worker:kill(signal) end

---Waits for all that was started here, one after the other; each is killed at the time-out. Returns the results in the order in which they were started.
---@param timeout? provium.Duration For each; without it there is no limit but the test's.
---@return provium.RunResult[]
function Worker:join(timeout) end

---Kills all that was started here; it starts nothing any more.
function Worker:close() end

---The guest's serial console.
---@class provium.Console
local Console = {}

---Returns all that the console has shown since the VM was created; in any state.
---@return string
function Console:read_log() end

---Waits until the console shows `text`, plainly and not as a pattern, behind what was found before or in what was passed over, and returns it; raises at the time-out.
---@param text string
---@param timeout? provium.Duration Default: 30 seconds.
---@return string text
function Console:expect(text, timeout) end

---Types `text` into the console; a line ends with `"\n"`.
---@param text string
function Console:write(text) end

---Does nothing: the console ends with its VM.
function Console:close() end

---The guest's clock, and a way to wait.
---@class provium.Clock
local Clock = {}

---Returns the guest's time: seconds since 1970.
---@return number
function Clock:get() end

---Returns the guest's time: nanoseconds since 1970.
---@return integer
function Clock:get_ns() end

---Sets the guest's time: seconds since 1970.
---@param seconds number
function Clock:set(seconds) end

---Sets the guest's time: nanoseconds since 1970.
---@param nanoseconds integer
function Clock:set_ns(nanoseconds) end

---Waits, by the host's clock; the VM need not be booted.
---@param duration provium.Duration
function Clock:sleep(duration) end

---Sets the guest's time forward.
---@param duration provium.Duration
function Clock:advance(duration) end

---A disk of a VM. Its state is with the disk, not with the handle.
---@class provium.Disk
local Disk = {}

---Returns the size in bytes: of the image now, or the modelled one without an image.
---@return integer
function Disk:size() end

---Reads `n` sectors of 512 bytes from sector `offset` on; fewer at the end of the disk; raises for an injected error, a detached disk and one without an image.
---@param offset integer
---@param n integer
---@return string
function Disk:read_sectors(offset, n) end

---Writes `data`, of any length, from sector `offset` on; raises for an injected error, a detached disk and one without an image.
---@param offset integer
---@param data string
function Disk:write_sectors(offset, data) end

---Arms a fault beside those that are armed, for every client of the disk: a mode, a rule's text, or a rule as a table; an unknown one is an error that names the valid modes.
---@param rule provium.FaultMode|string|provium.Rule
---@param options? provium.Selectors
function Disk:fault_inject(rule, options) end

---Returns the armed rules with what they have done, oldest first.
---@return provium.RuleState[]
function Disk:rules() end

---Returns the counters: `read_requests`, `write_bytes`, `read_errors_injected` and so on.
---@return table<string, integer>
function Disk:stats() end

---Returns the requests that wait or are being served, oldest first.
---@return provium.InFlight[]
function Disk:inflight() end

---Returns what rules did to the image and will stay, as `SECTOR COUNT WHAT RULE` lines.
---@return string[]
function Disk:damage() end

---Fails unless the guest has the disk and would see every injected error; the message says what to change.
function Disk:assert_visible() end

---Waits until a rule has fired `times` times; raises at the deadline, and for one that is not armed.
---@param name string A tag, or a rule's text.
---@param times? integer Default: 1.
---@param timeout? provium.Duration Default: 10 seconds.
function Disk:wait_fired(name, times, timeout) end

---Lets go what a `hang` holds: all of it, or what waits for rules with a tag.
---@param tag? string Default: `"all"`.
---@param errno? string How it fails; it goes on well without.
function Disk:release(tag, errno) end

---Fails the guest's reads with EIO; the test's own sector calls pass a policy by.
function Disk:fail_reads() end

---Fails the guest's writes, write zeroes included, with EIO.
function Disk:fail_writes() end

---Fails the guest's nth request and all later ones with EIO; flushes count, from the latest call that changes the policy.
---@param n integer 1 or more.
function Disk:fail_after(n) end

---Fails the guest's reads and writes that touch these sectors with EIO; replaces the range before.
---@param sector integer
---@param count integer 1 or more.
function Disk:fail_range(sector, count) end

---Has every request of the guest wait, flushes too; replaces the delay before.
---@param ms integer Milliseconds.
function Disk:delay(ms) end

---Takes the policy away, and leaves faults.
function Disk:clear_policy() end

---Returns what is set of the policy.
---@return provium.Policy
function Disk:fault_policy() end

---Raises: it takes a volatile write cache, which this version does not have.
function Disk:power_cut() end

---Raises, as `power_cut` does.
function Disk:flushes() end

---Raises, as `power_cut` does.
function Disk:unflushed_sectors() end

---Takes all faults away, and leaves the policy.
function Disk:clear_faults() end

---Returns the armed faults, oldest first, without the policy: mode names, and the texts of other rules.
---@return string[]
function Disk:active_faults() end

---Takes the disk out of the guest, as far as that lets it go, and out of the mount; never raises.
function Disk:detach() end

---Whether it was detached, or its VM closed.
---@return boolean
function Disk:is_detached() end

---Returns its name.
---@return string
function Disk:id() end

---Returns the path of its file in the mount, which any program of the host may open; raises without an image.
---@return string
function Disk:path() end

---A virtual machine. Its QEMU, its mount and its scratch images end with it.
---@class provium.Vm
local Vm = {}

---Starts it and returns it once its agent answers and its disks can be used; raises, and the VM is dead, when it panics, does not answer in time or QEMU ends.
---@param options? provium.BootOptions
---@return provium.Vm self
function Vm:boot(options) end

---Powers the guest down and waits for it, 20 seconds at most, in any state; what rules hold is dropped, and the images are free for others. It may boot again, with its disks and their faults.
function Vm:shutdown() end

---Stops the guest's processors; raises when a rule holds a request of the guest, which runs on.
function Vm:pause() end

---Lets a paused guest go on.
function Vm:resume() end

---Presses the reset button and returns when the agent answers again and the disks can be used; what rules hold is dropped.
function Vm:reset() end

---Presses the power button, and does not wait for what the guest makes of it.
function Vm:power_button() end

---Ends it at once, in any state: what rules hold is dropped, its disks are detached, its files on the host removed. Its console can still be read.
function Vm:close() end

---Runs a command in the guest to its end: a text in `sh -c`, or a program with arguments. A program that is not there is exit code 127.
---@param program string
---@param options? string[]|provium.RunOptions
---@return provium.RunResult
---@overload fun(self: provium.Vm, text: string): provium.RunResult
function Vm:run(program, options) end

---Starts a command in the guest and returns at once; a `timeout` is an error, it belongs to `process:wait`.
---@param program string
---@param options? string[]|provium.RunAsyncOptions
---@return provium.Process
---@overload fun(self: provium.Vm, text: string): provium.Process
function Vm:run_async(program, options) end

---Returns a new worker: commands that are ended together.
---@return provium.Worker
function Vm:spawn_worker() end

---Returns the content of a file in the guest.
---@param path string
---@return string
function Vm:read_file(path) end

---Makes `data` the content of a file in the guest; a new one has mode 0644.
---@param path string
---@param data string
function Vm:write_file(path, data) end

---Copies the content of a file of the host into the guest; a relative host path starts at the folder of the calling file.
---@param host string
---@param guest string
function Vm:push_file(host, guest) end

---Returns what the guest knows of `path`; a link is followed.
---@param path string
---@return provium.FileStat
function Vm:stat(path) end

---Returns what is in a folder of the guest, sorted by name, without `.` and `..`.
---@param path string
---@return provium.Entry[]
function Vm:listdir(path) end

---Makes a folder in the guest.
---@param path string
---@param options? provium.MkdirOptions
function Vm:mkdir(path, options) end

---Removes a file or an empty folder in the guest.
---@param path string
function Vm:unlink(path) end

---Gives a file or a folder in the guest another name; one that a folder has is an error.
---@param from string
---@param to string
function Vm:rename(from, to) end

---Attaches a disk and returns it; a running guest has it by then.
---@param options? provium.AttachOptions
---@return provium.Disk
function Vm:attach_disk(options) end

---Returns the disk that is attached as `id`; raises when there is none.
---@param id string
---@return provium.Disk
function Vm:disk(id) end

---Returns the guest's serial console.
---@return provium.Console
function Vm:console() end

---Returns the guest's clock.
---@return provium.Clock
function Vm:clock() end

---Returns its name, which `vm.name` alone is too.
---@return string
function Vm:name() end

---Returns the name of its profile, which `vm.profile` alone is too.
---@return string
function Vm:profile() end

---Returns where it is in its life, in any state.
---@return provium.VmState
function Vm:state() end

---The VMs of the scope: those of the file, and in a test those of the test. Each is a field too: `provium.NAME`.
---@class provium.Provium
---@field [string] provium.Vm
---@field timeout? provium.Duration How long each test of the file may take, in place of `--timeout`; set it at file level.
---@field reset_between_tests? boolean Not yet: `true` is an error.
provium = {}

---Creates a VM, or without `profile` finds one again; raises when the name is taken, or nothing has it.
---@param name string
---@param profile? string A name of `provium.toml`, or `"default"`.
---@param options? provium.BootOptions What its boots begin with.
---@return provium.Vm
function provium:vm(name, profile, options) end

---Boots all VMs of the scope that were never booted; not those that were shut down.
function provium:boot() end

---Shuts down all VMs of the scope that are booted or paused.
function provium:shutdown() end

---Does nothing: no resources are reserved here.
---@param resources? table
function provium:claim(resources) end

---Declares a test; a second one of the same name in a file is an error.
---@param name string
---@param meta provium.Meta
---@param fn fun(t: provium.T)
---@overload fun(name: string, fn: fun(t: provium.T))
function test(name, meta, fn) end

---Leaves out all tests of the file.
---@param reason? string
function todo(reason) end

---Calls `pred` until it returns something true, and returns that; raises at the time-out, and what `pred` raises goes through.
---@generic R
---@param pred fun(): R
---@param options? provium.WaitOptions
---@return R
function wait_until(pred, options) end

---JSON; integers of 64 bits stay exact.
---@class provium.Json
---@field null lightuserdata Encodes as `null`; it counts as true.
json = {}

---Returns `value` as JSON; raises for what has no form there: functions, NaN, infinity, strings that are not UTF-8.
---@param value any
---@return string
function json.encode(value) end

---Returns what the JSON `text` means; raises where it is malformed. `null` is nil: a key that is not there, a hole in an array.
---@param text string
---@return any
function json.decode(text) end
