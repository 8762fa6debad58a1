;; A module without `_start`: a library, not a program.
(module
  (memory (export "memory") 1)
  (func (export "answer") (result i32) (i32.const 42)))
