/* The ranking loss against tests/golden/reward.py, finite differences and cases worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "reward/loss.h"
#include "tests/support/golden.h"

enum { K = 16, ELEMENTS = 8 };

/* The elements of one optimizer step. */
struct step {
    int n, k[ELEMENTS];
    float score[ELEMENTS][K], dscore[ELEMENTS][K], weight[ELEMENTS];
    int32_t rank[ELEMENTS][K];
};

static double step_loss(const struct reward_loss *how, struct step *s) {
    struct reward_totals totals = {0};
    double loss = 0;
    memset(s->dscore, 0, sizeof s->dscore);
    for (int i = 0; i < s->n; i++) reward_loss_count(how, s->k[i], s->rank[i], s->weight[i], &totals);
    for (int i = 0; i < s->n; i++)
        loss += reward_loss(how, &totals, s->k[i], s->score[i], s->rank[i], s->weight[i], s->dscore[i]);
    return loss;
}

static void read_step(const json_t *elements, struct step *s, double dscore[ELEMENTS][K]) {
    double value[GOLDEN_MAX];
    float scores[GOLDEN_MAX];
    int32_t ranks[GOLDEN_MAX];
    *s = (struct step){.n = (int)json_array_size(elements)};
    assert_in_range(s->n, 1, ELEMENTS);
    for (int i = 0; i < s->n; i++) {
        const json_t *e = json_array_get(elements, (size_t)i);
        s->k[i] = golden_floats(e, "score", scores);
        assert_in_range(s->k[i], 1, K);
        golden_ints(e, "rank", ranks);
        golden_doubles(e, "dscore", value);
        memcpy(s->score[i], scores, (size_t)s->k[i] * sizeof *scores);
        memcpy(s->rank[i], ranks, (size_t)s->k[i] * sizeof *ranks);
        memcpy(dscore[i], value, (size_t)s->k[i] * sizeof *value);
        s->weight[i] = (float)golden_number(e, "weight");
    }
}

static void test_golden(void **state) {
    (void)state;
    json_t *golden = golden_open("reward"), *c;
    size_t i;
    json_array_foreach(golden_get(golden, "loss"), i, c) {
        float margin[GOLDEN_MAX];
        struct reward_loss how = {
            .ties = strcmp(golden_string(c, "ties"), "half") == 0 ? REWARD_TIES_HALF : REWARD_TIES_SKIP,
            .weight =
                strcmp(golden_string(c, "weight"), "pair") == 0 ? REWARD_WEIGHT_PAIR : REWARD_WEIGHT_PROMPT,
            .centering = (float)golden_number(c, "centering"),
            .margin = margin,
            .n_margin = golden_floats(c, "margin", margin),
        };
        struct step s;
        double dscore[ELEMENTS][K];
        read_step(golden_get(c, "elements"), &s, dscore);
        assert_near(step_loss(&how, &s), golden_number(c, "loss"), 1e-6);
        for (int e = 0; e < s.n; e++) assert_all_near(s.dscore[e], dscore[e], s.k[e], 1e-6);
    }
    json_decref(golden);
}

/* Three answers, all scored 0, ranked 1, 2, 3. Three pairs, each -log sigmoid(0) = ln 2, their mean is ln 2.
   Each pair pulls its winner with -sigmoid(0)/3 = -1/6 and pushes its loser with 1/6: the best wins twice
   (-1/3), the middle wins one and loses one (0), the worst loses twice (1/3). */
static void test_three_answers_by_hand(void **state) {
    (void)state;
    const struct reward_loss how = {0};
    struct step s = {.n = 1, .k = {3}, .rank = {{1, 2, 3}}, .weight = {1}};
    assert_near(step_loss(&how, &s), 0.69314718, 1e-6);
    assert_all_near(s.dscore[0], (const double[]){-1.0 / 3, 0, 1.0 / 3}, 3, 1e-6);
}

static struct step some_step(void) {
    return (struct step){
        .n = 3,
        .k = {4, 5, 2},
        .score = {{0.5f, -1, 2, 0.25f}, {1, 1, -0.5f, 0, 3}, {-2, 0.75f}},
        .rank = {{2, 1, 3, 3}, {1, 2, 2, 2, 5}, {2, 1}},
        .weight = {1, 0.5f, 2},
    };
}

static void test_gradient_is_the_slope(void **state) {
    (void)state;
    const float margin[2] = {0.25f, 1};
    for (int variant = 0; variant < 16; variant++) {
        struct reward_loss how = {
            .ties = variant & 1 ? REWARD_TIES_HALF : REWARD_TIES_SKIP,
            .weight = variant & 2 ? REWARD_WEIGHT_PAIR : REWARD_WEIGHT_PROMPT,
            .centering = variant & 4 ? 0.125f : 0,
            .margin = margin,
            .n_margin = variant & 8 ? 2 : 0,
        };
        struct step s = some_step(), moved;
        step_loss(&how, &s);
        for (int e = 0; e < s.n; e++)
            for (int i = 0; i < s.k[e]; i++) {
                double loss[2];
                for (int side = 0; side < 2; side++) {
                    moved = s;
                    moved.score[e][i] += side ? 0x1p-9f : -0x1p-9f;
                    loss[side] = step_loss(&how, &moved);
                }
                assert_near(s.dscore[e][i], (loss[1] - loss[0]) / 0x1p-8, 1e-4);
            }
    }
}

/* Adding a constant to all scores changes nothing (without centring), so a prompt's gradients add up to 0. */
static void test_only_differences_count(void **state) {
    (void)state;
    const struct reward_loss how = {.ties = REWARD_TIES_HALF};
    struct step s = some_step(), moved = some_step();
    for (int e = 0; e < s.n; e++)
        for (int i = 0; i < s.k[e]; i++) moved.score[e][i] += 8;
    assert_near(step_loss(&how, &moved), step_loss(&how, &s), 1e-12);
    for (int e = 0; e < s.n; e++) {
        double sum = 0;
        for (int i = 0; i < s.k[e]; i++) sum += s.dscore[e][i];
        assert_true(fabs(sum) < 1e-7);
    }
}

/* weight: prompt gives a prompt with 6 pairs and one with 1 pair the same pull; weight: pair six times as
 * much. */
static void test_weights(void **state) {
    (void)state;
    struct step s = {.n = 2, .k = {4, 2}, .rank = {{1, 2, 3, 4}, {1, 2}}, .weight = {1, 1}};
    struct reward_loss how = {.weight = REWARD_WEIGHT_PAIR};
    assert_near(step_loss(&how, &s), 0.69314718, 1e-6);
    assert_near(s.dscore[0][0], -3 * 0.5 / 7, 1e-6);
    assert_near(s.dscore[1][0], -0.5 / 7, 1e-6);
    how.weight = REWARD_WEIGHT_PROMPT;
    assert_near(step_loss(&how, &s), 0.69314718, 1e-6);
    assert_near(s.dscore[0][0], -3 * 0.5 / 12, 1e-6);
    assert_near(s.dscore[1][0], -0.5 / 2, 1e-6);
}

static void test_margin_is_asked_for(void **state) {
    (void)state;
    const float margin[1] = {2};
    struct reward_loss how = {.margin = margin, .n_margin = 1};
    struct step ahead = {.n = 1, .k = {2}, .score = {{2, 0}}, .rank = {{1, 2}}, .weight = {1}};
    struct step behind = {.n = 1, .k = {2}, .score = {{0, 2}}, .rank = {{2, 1}}, .weight = {1}};
    assert_near(step_loss(&how, &ahead), 0.69314718, 1e-6);
    assert_near(step_loss(&how, &behind), 0.69314718, 1e-6);
}

static void test_dscore_is_added_to(void **state) {
    (void)state;
    const struct reward_loss how = {0};
    struct reward_totals totals = {1, 1};
    float dscore[2] = {10, 20};
    reward_loss(&how, &totals, 2, (const float[]){0, 0}, (const int32_t[]){1, 2}, 1, dscore);
    assert_near(dscore[0], 9.5, 1e-6);
    assert_near(dscore[1], 20.5, 1e-6);
}

static void test_nothing_to_learn(void **state) {
    (void)state;
    struct reward_loss how = {.ties = REWARD_TIES_SKIP};
    struct step ties = {.n = 1, .k = {3}, .score = {{1, 2, 3}}, .rank = {{1, 1, 1}}, .weight = {1}};
    struct step alone = {.n = 1, .k = {1}, .score = {{1}}, .rank = {{1}}, .weight = {1}};
    struct step empty = {.n = 1, .k = {0}, .weight = {1}};
    struct step weightless = {.n = 1, .k = {2}, .score = {{1, 2}}, .rank = {{1, 2}}, .weight = {0}};
    struct step *all[] = {&ties, &alone, &empty, &weightless};
    for (int i = 0; i < 4; i++) {
        assert_true(step_loss(&how, all[i]) == 0);
        for (int j = 0; j < 3; j++) assert_true(all[i]->dscore[0][j] == 0);
    }
    how.ties = REWARD_TIES_HALF;
    assert_true(step_loss(&how, &ties) > 0);
    assert_true(step_loss(&how, &alone) == 0);
    assert_int_equal(reward_count_pairs(REWARD_TIES_HALF, 3, ties.rank[0]), 3);
    assert_int_equal(reward_count_pairs(REWARD_TIES_SKIP, 3, ties.rank[0]), 0);
}

static void test_extreme_scores(void **state) {
    (void)state;
    const struct reward_loss how = {0};
    struct step s = {.n = 1, .k = {2}, .score = {{3e38f, -3e38f}}, .rank = {{1, 2}}, .weight = {1}};
    assert_true(step_loss(&how, &s) == 0 && s.dscore[0][0] == 0);
    s.rank[0][0] = 3; /* now the other way round: the loss is the difference itself */
    assert_near(step_loss(&how, &s), 6e38, 1e-6);
    assert_near(s.dscore[0][0], 1, 1e-6);
    s.score[0][1] = NAN;
    assert_true(isnan(step_loss(&how, &s)));
    s.score[0][0] = s.score[0][1] = INFINITY;
    assert_true(isnan(step_loss(&how, &s)));
    struct step ranks = {.n = 1, .k = {2}, .rank = {{INT32_MIN, INT32_MAX}}, .weight = {1}};
    const struct reward_loss margin = {.margin = (const float[]){0.5f}, .n_margin = 1};
    assert_near(step_loss(&margin, &ranks), log1p(exp(0.5)), 1e-6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_three_answers_by_hand),
        cmocka_unit_test(test_gradient_is_the_slope),
        cmocka_unit_test(test_only_differences_count),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_margin_is_asked_for),
        cmocka_unit_test(test_dscore_is_added_to),
        cmocka_unit_test(test_nothing_to_learn),
        cmocka_unit_test(test_extreme_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
