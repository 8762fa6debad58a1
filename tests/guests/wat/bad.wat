;; Parses and does not validate: the function promises a number and leaves none.
(module
  (memory (export "memory") 1)
  (func (export "_start") (result i32)))
