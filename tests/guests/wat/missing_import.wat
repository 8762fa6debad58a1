;; Asks for a function that no host has.
(module
  (import "networking" "teleport" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")))
