module withheld

go 1.18
