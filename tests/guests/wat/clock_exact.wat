;; Tells by how many nanoseconds its clock is further when it computes 10,000 turns of a loop more, and when it
;; sleeps a nanosecond longer. A turn takes five units of fuel.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)

  (func $now (result i64)
    (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 64)))
    (i64.load (i32.const 64)))

  (func $compute (param $turns i32) (result i64)
    (local $began i64)
    (local.set $began (call $now))
    (loop $again
      (br_if $again (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
    (i64.sub (call $now) (local.get $began)))

  ;; A subscription to the monotonic clock at 128, its event at 192.
  (func $sleep (param $nanoseconds i64) (result i64)
    (local $began i64)
    (local.set $began (call $now))
    (i32.store (i32.const 144) (i32.const 1))
    (i64.store (i32.const 152) (local.get $nanoseconds))
    (drop (call $poll_oneoff (i32.const 128) (i32.const 192) (i32.const 1) (i32.const 224)))
    (i64.sub (call $now) (local.get $began)))

  ;; A decimal number and a line's end, of which the last byte is at 63.
  (func $print (param $number i64)
    (local $at i32)
    (local.set $at (i32.const 63))
    (i32.store8 (local.get $at) (i32.const 10))
    (loop $next
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i64.store8 (local.get $at) (i64.add (i64.const 48) (i64.rem_u (local.get $number) (i64.const 10))))
      (br_if $next (i64.ne (local.tee $number (i64.div_u (local.get $number) (i64.const 10))) (i64.const 0))))
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (i32.sub (i32.const 64) (local.get $at)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))

  (func (export "_start")
    (local $less i64)
    (local.set $less (call $compute (i32.const 10000)))
    (call $print (i64.sub (call $compute (i32.const 20000)) (local.get $less)))
    (local.set $less (call $sleep (i64.const 1000000)))
    (call $print (i64.sub (call $sleep (i64.const 1000001)) (local.get $less)))))
