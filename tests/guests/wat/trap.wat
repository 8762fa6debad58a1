;; Traps two calls deep, so that a backtrace has three names to show.
(module $trap
  (memory (export "memory") 1)
  (func $inner unreachable)
  (func $outer (call $inner))
  (func $start (export "_start") (call $outer)))
