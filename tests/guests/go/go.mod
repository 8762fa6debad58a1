module guestnet.test/guests

go 1.21
