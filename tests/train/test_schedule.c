/* Learning-rate schedules and moments. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/train/moments.h"
#include "core/train/schedule.h"
#include "tests/support/golden.h"

static void test_golden(void **state) {
    (void)state;
    json_t *golden = golden_open("train"), *c;
    size_t i;
    json_array_foreach(golden_get(golden, "schedule"), i, c) {
        const char *kind = golden_string(c, "kind");
        struct schedule s = {
            .kind = strcmp(kind, "constant") == 0 ? SCHEDULE_CONSTANT
                    : strcmp(kind, "linear") == 0 ? SCHEDULE_LINEAR
                                                  : SCHEDULE_COSINE,
            .steps = (int64_t)golden_number(c, "steps"),
            .warmup = (int64_t)golden_number(c, "warmup"),
            .warmup_from = golden_number(c, "warmup_from"),
            .flat = golden_number(c, "flat"),
            .final = golden_number(c, "final"),
        };
        double want[GOLDEN_MAX];
        int n = golden_doubles(c, "factor", want);
        for (int step = 0; step < n; step++) assert_near(schedule_factor(&s, step), want[step], 1e-9);
    }
    json_decref(golden);
}

/* What papers and their code say: [N+] lr (1 - i/n); InstructGPT's PPO over 10 iterations from a tenth, then
   constant; its SFT by cosine to a tenth. */
static void test_named_recipes(void **state) {
    (void)state;
    const struct schedule n_plus = {SCHEDULE_LINEAR, 1000, 0, 0, 0, 0};
    for (int i = 0; i < 1000; i++) assert_near(schedule_factor(&n_plus, i), 1 - i / 1000.0, 1e-12);
    const struct schedule ppo = {SCHEDULE_CONSTANT, 500, 10, 0.1, 0, 0};
    assert_near(schedule_factor(&ppo, 0), 0.1, 1e-12);
    assert_near(schedule_factor(&ppo, 4), 0.5, 1e-12);
    assert_near(schedule_factor(&ppo, 9), 1, 1e-12);
    assert_true(schedule_factor(&ppo, 10) == 1 && schedule_factor(&ppo, 499) == 1);
    const struct schedule even = {SCHEDULE_CONSTANT, 500, 40, 0, 0, 0};
    for (int i = 0; i < 40; i++) assert_near(schedule_factor(&even, i), (i + 1) / 40.0, 1e-12);
    const struct schedule sft = {SCHEDULE_COSINE, 200, 0, 0, 0, 0.1};
    assert_true(schedule_factor(&sft, 0) == 1);
    assert_near(schedule_factor(&sft, 100), 0.55, 1e-12);
    assert_near(schedule_factor(&sft, 200), 0.1, 1e-12);
}

static void test_no_step_is_out_of_range(void **state) {
    (void)state;
    for (int kind = SCHEDULE_CONSTANT; kind <= SCHEDULE_COSINE; kind++)
        for (int steps = 0; steps < 12; steps++)
            for (int warmup = 0; warmup < 14; warmup++)
                for (int flat = 0; flat <= 4; flat++) {
                    const struct schedule s = {kind, steps, warmup, 0.25, flat * 0.25, 0.125};
                    double before = 2;
                    for (int step = 0; step < 20; step++) {
                        double f = schedule_factor(&s, step);
                        assert_true(f >= 0.125 && f <= 1);
                        if (step >= warmup) assert_true(f <= before); /* the fall is monotone */
                        before = step >= warmup ? f : 2;
                    }
                }
}

static void test_moments(void **state) {
    (void)state;
    json_t *golden = golden_open("train"), *c;
    size_t i;
    json_array_foreach(golden_get(golden, "moments"), i, c) {
        float x[GOLDEN_MAX];
        int n = golden_floats(c, "x", x);
        struct moments m = moments_of(n, x);
        assert_near(m.mean, golden_number(c, "mean"), 1e-9);
        assert_true(fabs(m.variance - golden_number(c, "variance")) <= 1e-9 * m.variance);
    }
    json_decref(golden);
    struct moments none = moments_of(0, NULL), broken = moments_of(2, (const float[]){1, NAN});
    assert_true(isnan(none.mean) && isnan(none.variance));
    assert_true(isnan(broken.mean) && isnan(broken.variance));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_named_recipes),
        cmocka_unit_test(test_no_step_is_out_of_range),
        cmocka_unit_test(test_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
