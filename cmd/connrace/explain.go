package main

import "context"

func explainHelp() string { return "" }

func explain(ctx context.Context, e *env, args []string) int { return 0 }
