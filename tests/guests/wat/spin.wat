;; Computes for ever and calls nothing: only fuel or an epoch ends it.
(module
  (memory (export "memory") 1)
  (func (export "_start") (loop $again (br $again))))
