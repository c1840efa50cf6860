package deliver

const childEnv = "TICKERLAKE_DELIVER_TEST_CHILD"

func child(string) int { return 1 }
