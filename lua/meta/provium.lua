---@meta

-- The names that provium adds to Lua, for lua-language-server and similar tools. Nothing here is run.
-- An error is a string. It has the place of the call, the name of the call, and the problem.

---Seconds as a number, or a text with a unit: `"200us"`, `"50ms"`, `"1.5s"`, `"2m"`, `"1h"`. A negative, infinite or NaN duration is an error.
---@alias provium.Duration number|string

---`eio_read`: reads fail with EIO. `eio_write`: writes fail with EIO. `slow`: reads and writes wait 50 ms first.
---@alias provium.FaultMode "eio_read"|"eio_write"|"slow"

---`paused`: its processors are stopped. `shutdown`: by a call, by the guest itself, or closed. `dead`: panicked, not booted in time, or QEMU ended.
---@alias provium.VmState "created"|"booted"|"paused"|"shutdown"|"dead"

---`off`: what is answered has reached the image. `volatile`: it reaches the image with the next flush.
---@alias provium.CacheMode "off"|"volatile"

---How a command in the guest ended: by itself, by a signal, or killed at its time-out.
---@alias provium.ExitStatus "exited"|"signalled"|"timed_out"

---Properties of a test. Keys of your own are kept too; `t.meta` has them.
---@class provium.Meta
---@field skip? boolean|string Skips the test; a string is the reason.
---@field slow? boolean Skips the test unless `--include-slow` is given.
---@field tags? string|string[] Names for `--tag` and `--no-tag`.
---@field timeout? provium.Duration The time limit of the test, in place of `provium.timeout` and `--timeout`.
---@field [string] any

---@class provium.WaitOptions
---@field timeout? provium.Duration The time-out. Default: 10 seconds.
---@field interval? provium.Duration The pause between two tries. Default: 0.1 seconds.
---@field desc? string The name of the condition in the error. Default: `"condition"`.

---@class provium.BootOptions
---@field memory? string|integer A size with a unit, 16M or more: `"256M"`, or bytes. Default: the profile's.
---@field cpus? integer The number of processors, 1 to 255. Default: the profile's.
---@field kernel_cmdline? string Added to the kernel's command line. Default: nothing.
---@field kernel_cmdline_append? string The same. Default: nothing.
---@field agent_timeout? provium.Duration The time limit of the whole boot, and of a reset. Default: the profile's, or 60 seconds.
---@field files? provium.BootFile[] Files that are written when the agent answers. Default: none.
---@field disks? provium.DiskOptions[] Disks that are attached before the guest starts, after those of the profile; `vm:disk(id)` finds them. Default: none.
---@field cold? boolean Boots the kernel even if a saved state could be resumed. Default: false.

---@class provium.BootFile
---@field path string In the guest.
---@field content? string The content. Default: `""`.
---@field mode? integer|string Permission bits: a number, or an octal string such as `"0755"`.

---A disk has exactly one of `path`, `image`, `template` and `scratch`. A relative path starts at the folder of the test file.
---@class provium.DiskOptions
---@field path? string A file of the host, as it is: what the guest writes is in it. Default: none.
---@field image? string A raw image: the same as `path`. An image in another format, as qcow2: the same as `template`. Default: none.
---@field template? string An image, raw or in another format. The disk begins as the image, which stays as it is; changes are removed with the VM. Default: none.
---@field scratch? string|integer The size of an empty disk that is removed with the VM: `"256M"`, or bytes. Default: none.
---@field size? string|integer Makes the disk larger than its template. Of a disk without an image, the modelled size. Default: that of the image.
---@field id? string A letter, then up to 62 letters, digits, `.`, `_` or `-`; not `ctl`. In `vm:boot` `boot0`, `boot1` and so on without it, in `vm:attach_disk` `attached-VM`. Default: see below.
---@field readonly? boolean Rejects writes by the guest and by the host. Default: false.
---@field fixed? boolean A write past the end fails with ENOSPC, as on a real disk. With false the image grows. Default: true.
---@field cache? provium.CacheMode Whether it has a volatile write cache. Default: `"off"`.
---@field mediated? boolean Another spelling: true is `"volatile"`, false is `"off"`. Default: none.
---@field faults? (string|table)[] Rules that are armed before the guest has the disk. Default: none.
---@field bus? "virtio-blk"|"virtio-scsi"|"nvme"|"sata"|"usb" What the guest has it on. sata is for disks that are attached before the boot. Default: `"virtio-blk"`.
---@field logical_block_size? integer|string Bytes of a sector in the guest, 512 to 4096. Default: 512.
---@field physical_block_size? integer|string Bytes, a power of two. Default: the logical one.
---@field serial? string The serial number; the guest finds the disk by it. Default: the id.
---@field queues? integer 1 to 64; not on sata and usb. Default: QEMU's.
---@field rerror? "report"|"stop"|"ignore" What QEMU does when a read fails. Default: `"report"`.
---@field werror? "report"|"stop"|"ignore"|"enospc" What QEMU does when another request fails. Default: `"report"`.
---@field cache_type? "write back"|"write through" Whether the guest is told of a write cache. Default: `"write back"`.
---@field share? boolean Other disks with `share` may have the same image. Default: false.

---Without `args`, and without arguments in the table itself, the text goes to `sh -c`.
---@class provium.RunOptions
---@field [integer] string The arguments, in place of `args`.
---@field args? string[] The arguments; the program is started without a shell. Default: none.
---@field env? table<string, string> Added to the environment of the guest's agent. Default: none.
---@field env_clear? boolean The command gets `env` alone. Default: false.
---@field cwd? string The working folder in the guest. Default: the agent's.
---@field stdin? string The standard input. Default: nothing.
---@field timeout? provium.Duration The command is killed after this time. If the time of the test ends first, that is an error. Default: none.
---@field timeout_ms? integer The same in milliseconds. Default: none.

---The same without `timeout`: that belongs to `process:wait`.
---@class provium.RunAsyncOptions
---@field [integer] string The arguments, in place of `args`.
---@field args? string[] The arguments; the program is started without a shell. Default: none.
---@field env? table<string, string> Added to the environment of the guest's agent. Default: none.
---@field env_clear? boolean The command gets `env` alone. Default: false.
---@field cwd? string The working folder in the guest. Default: the agent's.
---@field stdin? string The standard input. Default: nothing.

---@class provium.MkdirOptions
---@field parents? boolean Makes missing folders above it too, and accepts an existing folder. Default: false.
---@field perm? integer|string Permission bits: a number, or an octal string such as `"0755"`.

---The requests on which a rule acts; see docs/faults.md.
---@class provium.Selectors
---@field op? string|string[] A list of `read`, `write`, `flush`, `discard`, `zero`; or `"all"`.
---@field at? string|string[] Ranges of sectors: `"2048+8"`; in bytes `"1M+64K"`, from the end of the disk `"end-8+8"`.
---@field sectors? integer Draws this number of sectors by `seed`, from `at` or the disk: the rule is for these alone.
---@field cluster? integer With `sectors`: they are drawn in groups of this many near each other.
---@field size? string The length of the request in bytes: `"4K..1M"`.
---@field client? "guest"|"host" `"guest"`: every client except the sector calls of a test. `"host"`: these alone. Default: everyone.
---@field skip? integer Skips this number of matching requests first.
---@field every? integer Of the remaining requests, takes the Nth, 2Nth, 3Nth and so on.
---@field times? integer Acts on at most this number of requests.
---@field p? number Acts on these requests with this probability, from 0 to 1. For a cut with `keep = "random"`: each pending request survives with it.
---@field per? "sector" With `p`: drawn for each sector of a request, however long the request is.
---@field seed? integer The seed of its random decisions. For a cut: of what survives.
---@field after? provium.Duration Starts this long after arming, whatever the test does meanwhile.
---@field for? provium.Duration Stays active this long.
---@field up? provium.Duration With `down`: the fault is on for this long, repeatedly.
---@field down? provium.Duration With `up`: the fault is then off for this long.
---@field when? string Only after a rule with this tag has fired.
---@field tag? string A name for the rule.

---@class provium.Rule : provium.Selectors
---@field action "error"|"delay"|"hang"|"corrupt"|"lose"|"tear"|"misdirect"|"stale"|"cut"|"limit"|provium.FaultMode
---@field errno? string|integer For an error: a name, or a number from 1 to 511. EIO if not set.
---@field heal? "write" For an error: its sectors are good again once they are written.
---@field tries? integer With `heal`: writes to a bad sector fail before this try. Default: 1.
---@field spares? integer With `heal`: at most this many sectors heal.
---@field by? string For a delay `"50ms"`, `"20ms..80ms"`, `"normal:10ms,2ms"`, `"lognormal:10ms,2ms"`, `"pareto:1ms,1.5"` or `"p50:1ms,p99:20ms"`, for a misdirection `"+8"` or `"-8"` sectors.
---@field max? provium.Duration For a hang: the longest time. Default: the profile's, or 60 seconds.
---@field then? string|integer For a hang or a tear: `"ok"` or an errno.
---@field how? "flip"|"zero"|"random"|"fill" For a corruption.
---@field bits? integer The number of flipped bits. Default: 1.
---@field byte? integer|string The byte of `fill`.
---@field keep? integer|string For a tear: the sectors of the write that reach the image. For a cut: `"none"` (the default), `"all"`, `"first=3"`, `"only=3,5,7"` or `"random"`.
---@field point? "before"|"after" For a cut: whether the request itself is done before the power goes off. Default: `"before"`, it is not.
---@field scope? "mount"|"disk" For a cut: all disks of the mount, which is the default, or this disk alone.
---@field tear? integer For a cut: what survives or not are pieces of this many sectors.
---@field rate? integer|string For a limit: bytes in a second, as in `"10M"`.
---@field iops? integer For a limit: requests in a second.
---@field burst? integer|string For a limit: bytes beyond `rate` that pass at once after idle time.
---@field lanes? integer For a limit: how many requests have passed and are not answered.
---@field garbage? number For a cut: the probability that a lost piece has neither old nor new data.

---What may be chosen of a profile, beside the parameters of its own.
---@class provium.ProfileSettings
---@field seed? integer The seed of all random choices. Default: 1.
---@field scale? number What the times of phases are multiplied by. Default: 1.
---@field [string] string|number A parameter of the profile.

---@class provium.SectorRange
---@field sector integer The first.
---@field sectors integer How many.

---The counters of a rule.
---@class provium.RuleState
---@field rule string Its text.
---@field considered integer Requests of its operations and sectors.
---@field matched integer Requests that all selectors match, except the counting ones.
---@field fired integer Requests on which it acted.
---@field left? integer What is left of `times`.
---@field bad? provium.SectorRange[] What is left bad of sectors that are drawn, heal, or are counted from the end.
---@field healed? integer With `heal`: sectors that have healed.
---@field refused? integer With `heal`: writes that failed instead.
---@field never? string The reason why it can never act.
---@field note? string A remark on the rule.

---Faults for the guest's requests. A field that is not set is nil.
---@class provium.Policy
---@field fail_reads boolean
---@field fail_writes boolean
---@field fail_after? integer
---@field fail_range_sector? integer
---@field fail_range_count? integer
---@field delay_ms? integer

---A request that was answered and is not durable.
---@class provium.Pending
---@field number integer Later requests of the disk have larger numbers.
---@field op string
---@field sector integer
---@field count integer
---@field age number Seconds since it was answered.

---Which pending requests survive a power cut; see docs/power.md.
---@class provium.PowerCut
---@field keep? string|integer[] `"none"`, `"all"`, `"first=3"`, `"only=3,5"`, `"random"`, or a list of the numbers that survive. Default: `"none"`.
---@field p? number With `"random"`: the probability that a request survives. Default: 0.5.
---@field seed? integer The seed of the random decisions. Default: drawn, and returned.
---@field tear? integer Pieces of this many sectors survive or not, in place of whole requests. Default: none.
---@field garbage? number The probability that a piece that does not survive has neither old nor new data. Default: 0.

---@class provium.VmPowerCut : provium.PowerCut
---@field disks? (provium.Disk|string)[] Handles or IDs: these lose power, one after the other. Without it all do, at one instant.

---@class provium.RestoreOptions
---@field clock? "now"|"then" What the guest's clock shows: the host's time, which is the default, or the time of the snapshot.

---What a power cut has done to a disk.
---@class provium.CutReport
---@field kept integer Pending requests, or pieces of them, that have survived.
---@field lost integer Those that have not.
---@field seed integer The seed that decided.

---Which states that a power cut may have left are meant; see docs/power.md.
---@class provium.StatesOptions
---@field from? string Begins at this mark of the log. Default: the beginning.
---@field to? string Ends at this mark of the log. Default: the end.
---@field at? "entry"|"flush" Cuts the power after each entry of the log, or before each flush and at the end. Default: `"entry"`.
---@field pick? string|string[] Which subsets of what is pending survive. Default: `"none,all,prefix,drop=1,keep=1,every=8,random=32"`.
---@field tear? integer Pieces of this many sectors survive or not, in place of whole requests. Default: none.
---@field seed? integer Decides what `random` picks. Default: 1.
---@field base? string The image that the disk held when the log began, or `"none"` for zeros. Default: the one beside the log.
---@field by_mark? boolean A state that is met again after a later mark is another state. Default: false.
---@field prune? boolean Whether a state that agrees with a checked one in all that was read has its verdict. Default: true.

---@class provium.CheckOptions
---@field timeout? provium.Duration The time limit of a command. Default: the profile's, or 60 seconds.

---@class provium.CrashSafeOptions : provium.StatesOptions
---@field check string|fun(path: string, mark?: string) As in `state:check`.
---@field timeout? provium.Duration The time limit of one run of a command. Default: the profile's, or 60 seconds.

---@class provium.TryOptions : provium.StatesOptions
---@field boot? boolean Boots the guest on each state, in place of plugging it into a running guest. Default: false.

---What `t:sweep` does.
---@class provium.SweepOptions
---@field fault string|provium.Rule What goes wrong: a rule without its place, as `"error errno=EIO"`; `"cut"` is the power. Default: none.
---@field op? string|string[] With which requests, as `"write,flush"`. Default: all that the rule acts on.
---@field at? string|string[] Only with requests in these sectors, as `"0+8"`. Default: any.
---@field from? string Only with requests behind this mark, which the function sets. Default: from the beginning.
---@field persistent? boolean From that request on, all of them go wrong. Default: false.
---@field every? integer The first of every so many requests. Default: 1.
---@field max? integer At most this many runs, the first ones. Default: all.
---@field sample? integer This many runs, at random. Default: all.
---@field seed? integer Decides which, and what `random` picks. Default: 1.
---@field only? integer The run with this number alone. Default: all.
---@field check? fun(vm: provium.Vm, k: integer, state?: provium.SweptState) Looks at what a run has left: after a power cut on the restarted guest. Default: none.
---@field states? "each" With `"cut"`: the check looks at every distinct state that the cut may have left. Default: one.
---@field pick? string|string[] Which of these states. Default: `"none,all,prefix,drop=1,keep=1,every=8,random=32"`.
---@field tear? integer With pieces of this many sectors, in place of whole requests. Default: none.
---@field timeout? provium.Duration How long a run may take, and a check. Default: 60.
---@field fail? boolean Whether a run that fails fails the test. Default: true.

---What `t:sweep` has found.
---@class provium.Sweep
---@field fault string The rule, without its place.
---@field requests integer How many requests of the run without a fault match it.
---@field planned integer How many of them were to fail.
---@field points table<integer, provium.SweepPoint> By the number of the request that failed.
---@field failed integer[] Those of runs that failed.
---@field notes string[] What a reader of the verdicts should know.
---@field seconds number

---A run of a sweep.
---@class provium.SweepPoint
---@field k integer Which of the requests failed.
---@field op? string Its operation; nil where the trace does not show it.
---@field sector? integer Its first sector.
---@field count? integer Its number of sectors.
---@field passed boolean
---@field error? string The first line of what was wrong.
---@field requests integer How many requests that match the run made.
---@field seconds number
---@field states? provium.StatesFound With `states = "each"`.
---@field note? string What of the run is not as a sweep has it.

---@class provium.StatesFound
---@field distinct integer
---@field bad integer

---The state that a check of a sweep looks at.
---@class provium.SweptState
---@field id string
---@field lost provium.Piece[]

---What `vm:try_states` has found.
---@class provium.Tried
---@field good integer The number of states for which the function has raised nothing.
---@field bad provium.BadState[]

---@class provium.BadState
---@field id string
---@field error string
---@field lost provium.Piece[]

---Sectors of a request that was not durable.
---@class provium.Piece
---@field sector integer
---@field count integer

---A request that is not answered yet.
---@class provium.InFlight
---@field op string
---@field sector integer
---@field count integer
---@field age number Seconds.
---@field rule? string The rule that holds it; nil while it is served.

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

---A test, while it runs. A failed assertion fails the test even if a pcall swallows the error.
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

---Fails unless `needle` occurs in `haystack`. `needle` is not a pattern. Raises if one of them is neither a text nor a number.
---@param haystack string|number
---@param needle string|number
---@param message? any
function T:assert_contains(haystack, needle, message) end

---Fails unless `check` is content with every state that a power cut may have left, by the log of the disk. The message has the smallest loss of each kind of failure, and the line that makes the state again.
---@param disk provium.Disk|string A disk, whose log is ended, or the path of a log.
---@param options provium.CrashSafeOptions
function T:assert_crash_safe(disk, options) end

---Runs `fn` once without a fault and counts the requests that match; then goes back and runs it again for each of them, which fails. The test fails unless all runs pass.
---@param disk provium.Disk
---@param options provium.SweepOptions
---@param fn fun(vm: provium.Vm, k: integer) `k` is the number of the request that fails; 0 without a fault.
---@return provium.Sweep
function T:sweep(disk, options, fn) end

---Calls `fn`, fails unless it raises, and returns the error. Errors of provium are strings. A failed assertion in `fn` counts as raised.
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

---Adds the values to the report, with tabs between them, up to 64 KiB.
---@param ... any
function T:log(...) end

---The end of a command in the guest, and its output.
---@class provium.RunResult
---@field exit_code integer -1 when a signal ended it, -2 when its time was up.
---@field stdout string
---@field stderr string
---@field status provium.ExitStatus
---@field timed_out boolean
---@field signal? integer The number of the signal that ended it.
---@field truncated boolean Whether the guest's agent kept only the first 16 MiB of stdout or stderr.
---@field command string The command as text, for messages: at most 300 characters.
local RunResult = {}

---Whether the exit code is 0.
---@return boolean
function RunResult:ok() end

---Raises, with the code and the output, unless the exit code is 0.
---@return provium.RunResult self
function RunResult:assert_ok() end

---A VM as it was.
---@class provium.Snapshot
local Snapshot = {}

---Forgets it: its memory is free, and no VM can go back to it.
function Snapshot:drop() end

---A running command in the guest. It ends with the test that started it.
---@class provium.Process
local Process = {}

---Waits for its end and returns the result; kills it, and all that it started, at the time-out.
---@param timeout? provium.Duration Without it, only the test's limit applies.
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

---Returns the status of its result, or `"running"`.
---@return "running"|provium.ExitStatus
function Process:status() end

---Kills it, and all that it started.
function Process:close() end

---A group of commands in the guest that end together.
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

---Sends a signal to all its commands.
---@param signal? string|integer A name, with SIG or without, or a number. Default: `"TERM"`.
function Worker:kill(signal) end

---Waits for all its commands, one after the other. Each is killed at the time-out. Returns the results in the order in which they were started.
---@param timeout? provium.Duration For each; without it, only the test's limit applies.
---@return provium.RunResult[]
function Worker:join(timeout) end

---Kills all its commands. The worker starts nothing any more.
function Worker:close() end

---The guest's serial console.
---@class provium.Console
local Console = {}

---Returns all output of the console since the VM was created; in any state.
---@return string
function Console:read_log() end

---Waits until `text` appears on the console, and returns it. `text` is not a pattern. Searches after the previous match first, then the text that earlier calls skipped. Raises at the time-out.
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

---Waits, by the host's clock; in any state of the VM.
---@param duration provium.Duration
function Clock:sleep(duration) end

---Sets the guest's time forward.
---@param duration provium.Duration
function Clock:advance(duration) end

---A disk of a VM. Its state belongs to the disk, not to the handle.
---@class provium.Disk
local Disk = {}

---Returns the size in bytes: the present size of the image, or the modelled size without one.
---@return integer
function Disk:size() end

---Reads `n` sectors of 512 bytes, starting at sector `offset`; fewer at the end of the disk. Raises for an injected error, a detached disk and a disk without an image.
---@param offset integer
---@param n integer
---@return string
function Disk:read_sectors(offset, n) end

---Writes `data` of any length, starting at sector `offset`. Raises for an injected error, a detached disk and a disk without an image.
---@param offset integer
---@param data string
function Disk:write_sectors(offset, data) end

---Adds a fault for every client of the disk: a mode, a rule's text, or a rule as a table. An unknown mode is an error that names the valid modes.
---@param rule provium.FaultMode|string|provium.Rule
---@param options? provium.Selectors
function Disk:fault_inject(rule, options) end

---Adds the rules of a profile, all at one moment: faults as a real device has them; see docs/profiles.md. An unknown profile is an error that names those that there are.
---@param name string
---@param settings? provium.ProfileSettings
function Disk:fault_profile(name, settings) end

---Returns the armed rules with their counters, oldest first.
---@return provium.RuleState[]
function Disk:rules() end

---Returns the counters: `read_requests`, `write_bytes`, `read_errors_injected` and so on.
---@return table<string, integer>
function Disk:stats() end

---Returns the requests that wait or are being served, oldest first.
---@return provium.InFlight[]
function Disk:inflight() end

---Returns the permanent changes of the image by rules, as `SECTOR COUNT WHAT RULE` lines.
---@return string[]
function Disk:damage() end

---Fails unless the guest has the disk and would see every injected error. The message says what to change.
---@param errno? string Also fails if the bus of the disk makes another error of this one.
function Disk:assert_visible(errno) end

---Waits until a rule has fired `times` times. Raises at the time-out, and for a rule that is not armed.
---@param name string A tag, or a rule's text.
---@param times? integer Default: 1.
---@param timeout? provium.Duration Default: 10 seconds.
function Disk:wait_fired(name, times, timeout) end

---Releases the requests that a `hang` holds: all of them, or those of rules with a tag.
---@param tag? string Default: `"all"`.
---@param errno? string The requests fail with it. Without it they are served.
function Disk:release(tag, errno) end

---Fails the guest's reads with EIO. A policy does not apply to the test's own sector calls.
function Disk:fail_reads() end

---Fails the guest's writes, write zeroes included, with EIO.
function Disk:fail_writes() end

---Fails the guest's nth request and all later ones with EIO. All requests count, also flushes, from the latest call that changes the policy.
---@param n integer 1 or more.
function Disk:fail_after(n) end

---Fails the guest's reads and writes that touch these sectors with EIO. Replaces the previous range.
---@param sector integer
---@param count integer 1 or more.
function Disk:fail_range(sector, count) end

---Delays every request of the guest, also flushes. Replaces the previous delay.
---@param ms integer Milliseconds.
function Disk:delay(ms) end

---Removes the policy. Faults stay.
function Disk:clear_policy() end

---Returns the policy.
---@return provium.Policy
function Disk:fault_policy() end

---Gives it a volatile write cache, or takes it away once everything in it is durable. Without `mode`, returns the mode.
---@param mode? provium.CacheMode
---@return provium.CacheMode? mode
function Disk:cache(mode) end

---Returns the requests that were answered and are not durable, oldest first.
---@return provium.Pending[]
function Disk:pending() end

---Returns the number of flushes that were answered since it was attached.
---@return integer
function Disk:flushes() end

---Returns the number of sectors that are pending, each counted once.
---@return integer
function Disk:unflushed_sectors() end

---Cuts the power of this disk alone, and returns it at once. A guest runs on.
---@param options? provium.PowerCut
---@return provium.CutReport
function Disk:power_cut(options) end

---Sets a mark in its trace and its write log.
---@param text string 1 to 400 bytes.
function Disk:mark(text) end

---Saves the disk as it is now: what it holds, what is pending, and its power.
---@param name string 1 to 63 letters, digits, `.`, `_` or `-`.
---@param options? { faults?: boolean } `faults`: the rules and their counters belong to it.
function Disk:save_checkpoint(name, options) end

---Makes the disk what it was when the checkpoint was saved, any number of times. Requests that wait fail with EIO.
---@param name string
function Disk:restore_checkpoint(name) end

---Forgets a checkpoint. With the last one, what the disk holds is written to its image.
---@param name string
function Disk:drop_checkpoint(name) end

---Returns the names of the checkpoints, oldest first.
---@return string[]
function Disk:checkpoints() end

---Begins a write log of the disk, and keeps beside it what the disk holds now. Returns its path.
---@param path? string A new or empty file; a relative one starts at the folder of the test file. Without it, a file that is removed with the VM.
---@return string path
function Disk:record(path) end

---Ends the write log. Returns the path of the latest one.
---@return string path
function Disk:record_stop() end

---Ends the write log, and returns the states that a power cut may have left by it: `for state in disk:states() do`.
---@param options? provium.StatesOptions
---@return fun(): provium.State?
function Disk:states(options) end

---Removes all faults. The policy stays.
function Disk:clear_faults() end

---Returns the armed faults, oldest first, without the policy: mode names, and the texts of other rules.
---@return string[]
function Disk:active_faults() end

---Removes the disk from the guest, as far as the guest allows, and from the mount. Never raises.
function Disk:detach() end

---Whether the disk was detached, or its VM closed.
---@return boolean
function Disk:is_detached() end

---Returns its name.
---@return string
function Disk:id() end

---Returns the path of its file in the mount, which any program of the host may open; raises without an image.
---@return string
function Disk:path() end

---Makes the image, and the disk of a running guest, larger or smaller.
---@param bytes integer|string Bytes, or a size as `"256M"`.
function Disk:resize(bytes) end

---Returns where the guest has it, a name below `/dev/disk/by-id`; raises without an image.
---@return string
function Disk:device() end

---What a disk may hold after a power cut.
---@class provium.State
---@field id string `POINT.SUBSET`, for `provium states --only`.
---@field point integer The number of entries of the log before it.
---@field mark? string The last mark before it.
---@field lost provium.Piece[] What was pending and is lost.
---@field path string A file that any program may read and write, as long as something refers to the state.
local State = {}

---Asks about the state, in a file of its own: a function gets its path and the last mark, and raises or returns false if it is bad; a command with `{}` in place of the path exits with another code than 0.
---@param check string|fun(path: string, mark?: string)
---@param options? provium.CheckOptions
---@return boolean good
---@return string? reason
function State:check(check, options) end

---A virtual machine. Its QEMU, its mount and its scratch images end with it.
---@class provium.Vm
local Vm = {}

---Boots the VM and returns it when its agent answers and its disks are ready for use. Raises if the guest panics or does not answer in time, or if QEMU ends; the VM is dead then.
---@param options? provium.BootOptions
---@return provium.Vm self
function Vm:boot(options) end

---Powers the guest down and waits for it, 20 seconds at most, in any state. Held requests are dropped, and the images are free for others. The VM may boot again, with its disks and their faults.
function Vm:shutdown() end

---Stops the guest's processors. Raises if a rule holds a request of the guest; the guest then runs on.
function Vm:pause() end

---Continues a paused guest.
function Vm:resume() end

---Waits until QEMU pauses the guest because a request of a disk with `rerror = "stop"` or `werror = "stop"` has failed.
---`vm:resume()` has QEMU try the request again.
---@param timeout? provium.Duration Default: 10 seconds.
---@return { disk: string, op: "read"|"write", error: string }
function Vm:wait_io_error(timeout) end

---Pulls a disk out of the running guest, which is not asked, and detaches it.
---@param id string
function Vm:unplug(id) end

---Presses the reset button. Returns when the agent answers again and the disks are ready for use. Held requests are dropped.
function Vm:reset() end

---Returns all that makes the VM what it is: memory, devices, disks with what is pending, rules with their counters. The guest goes on. Raises if a rule holds a request of the guest.
---@return provium.Snapshot
function Vm:snapshot() end

---Makes the VM what it was when the snapshot was taken, whatever has become of it since. Returns when its agent answers. Held requests are dropped.
---@param snapshot provium.Snapshot One of this VM.
---@param options? provium.RestoreOptions
---@return provium.Vm self
function Vm:restore(snapshot, options) end

---Presses the power button, and does not wait for an effect.
function Vm:power_button() end

---Cuts the power of its disks, then kills QEMU. The VM may boot again, with its disks and what they have kept.
---@param options? provium.VmPowerCut
---@return table<string, provium.CutReport> reports By the IDs of the disks.
function Vm:power_cut(options) end

---Waits until a rule has cut the power. Raises at the time-out.
---@param timeout? provium.Duration Default: 10 seconds.
---@return table<string, provium.CutReport> reports By the IDs of the disks.
function Vm:wait_power_cut(timeout) end

---Sets a mark in the traces and the write logs of all its disks.
---@param text string 1 to 400 bytes.
function Vm:mark(text) end

---Ends the VM at once, in any state. Held requests are dropped, its disks are detached, and its files on the host are removed. Its console can still be read.
function Vm:close() end

---Runs a command in the guest to its end: a text in `sh -c`, or a program with arguments. A missing program gives exit code 127.
---@param program string
---@param options? string[]|provium.RunOptions
---@return provium.RunResult
---@overload fun(self: provium.Vm, text: string): provium.RunResult
function Vm:run(program, options) end

---Starts a command in the guest and returns at once. A `timeout` is an error here; give it to `process:wait`.
---@param program string
---@param options? string[]|provium.RunAsyncOptions
---@return provium.Process
---@overload fun(self: provium.Vm, text: string): provium.Process
function Vm:run_async(program, options) end

---Returns a new worker: a group of commands that end together.
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

---Returns the properties of `path` in the guest. A link is followed.
---@param path string
---@return provium.FileStat
function Vm:stat(path) end

---Returns the sectors that hold the content of `path` in the guest, as `at=` takes them, and the ID of their disk. Writes it out first. Raises for a file that lies on no disk of the VM, as in tmpfs or on a device made of disks, and for btrfs, whose files have addresses of its own.
---@param path string
---@return string at
---@return string disk
function Vm:extents(path) end

---Returns the entries of a folder of the guest, sorted by name, without `.` and `..`.
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

---Renames a file or a folder in the guest. If `to` is a folder, that is an error.
---@param from string
---@param to string
function Vm:rename(from, to) end

---Attaches a disk and returns it. A running guest has it when the call returns.
---@param options? provium.DiskOptions
---@return provium.Disk
function Vm:attach_disk(options) end

---Gives the guest each state that a power cut may have left of a disk, one after the other, and calls `fn` with the VM, the device in the guest and the state. A guest that does not run is booted first.
---@param disk provium.Disk|string A disk, whose log is ended, or the path of a log.
---@param options provium.TryOptions
---@param fn fun(vm: provium.Vm, device: string, state: provium.State)
---@return provium.Tried
function Vm:try_states(disk, options, fn) end

---Returns the disk that is attached as `id`. Raises if there is none.
---@param id string
---@return provium.Disk
function Vm:disk(id) end

---Returns the guest's serial console.
---@return provium.Console
function Vm:console() end

---Returns the guest's clock.
---@return provium.Clock
function Vm:clock() end

---Returns its name. `vm.name` is the name too.
---@return string
function Vm:name() end

---Returns the name of its profile. `vm.profile` is that name too.
---@return string
function Vm:profile() end

---Returns its state.
---@return provium.VmState
function Vm:state() end

---The VMs of the scope: those of the file, and in a test those of the test. Each is a field too: `provium.NAME`.
---@class provium.Provium
---@field [string] provium.Vm
---@field timeout? provium.Duration The time limit of each test of the file, in place of `--timeout`. Set it at file level.
---@field reset_between_tests? boolean After each test, the VMs of the file go back to what they were when the first test began. Default: false. Set it at file level.
provium = {}

---Creates a VM, or without `profile` returns an existing one. Raises if the name is taken, or if no VM has it.
---@param name string
---@param profile? string A name of `provium.toml`, or `"default"`.
---@param options? provium.BootOptions The defaults of its `vm:boot`.
---@return provium.Vm
function provium:vm(name, profile, options) end

---Boots all VMs of the scope that were never booted; not those that were shut down.
function provium:boot() end

---Shuts down all VMs of the scope that are booted or paused.
function provium:shutdown() end

---Does nothing: no resources are reserved here.
---@param resources? table
function provium:claim(resources) end

---A rule that a test arms, and the faults that it then makes; see docs/replay.md.
---@class provium.ReplayedRule
---@field rule string The rule, as the test arms it.
---@field [integer] string The rules that are armed in its place.

---Has the disks of the file meet recorded faults in the place of those of their rules, and runs one test alone. For files that
---`provium test --shrink` writes: call it at the beginning of the file.
---@param test string The name of the test that runs.
---@param disks table<string, table<integer, provium.ReplayedRule>> By disk, as `VM.ID`, and by the number of the rule among the edits of the disk's rules, from 1.
function provium:replay(test, disks) end

---Returns the states that a power cut may have left, by the write log at `path`: `for state in provium:states(path) do`.
---@param path string
---@param options? provium.StatesOptions
---@return fun(): provium.State?
function provium:states(path, options) end

---Declares a test. A second test with the same name in a file is an error.
---@param name string
---@param meta provium.Meta
---@param fn fun(t: provium.T)
---@overload fun(name: string, fn: fun(t: provium.T))
function test(name, meta, fn) end

---Skips all tests of the file.
---@param reason? string
function todo(reason) end

---Calls `pred` until it returns a true value, and returns that value. Raises at the time-out. Errors of `pred` are passed on.
---@generic R
---@param pred fun(): R
---@param options? provium.WaitOptions
---@return R
function wait_until(pred, options) end

---JSON; integers of 64 bits stay exact.
---@class provium.Json
---@field null lightuserdata Encodes as `null`; it counts as true.
json = {}

---Returns `value` as JSON. Raises for values without a JSON form: functions, NaN, infinity, strings that are not UTF-8.
---@param value any
---@return string
function json.encode(value) end

---Returns the value of the JSON `text`. Raises if the text is malformed. `null` becomes nil: a missing key, or a hole in an array.
---@param text string
---@return any
function json.decode(text) end
