module causes

go 1.20

require example.com/truth v0.0.0

replace example.com/truth => ../truth
