package storage

import (
	"context"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	suite "k8s.io/apiserver/pkg/storage/testing"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
)

// The suite of k8s.io/apiserver/pkg/storage/testing on this package's stack: a
// Getter's store on an embedded etcd, with a layer that puts a plan into every
// write (TestStore…), and the same below the watch cache (TestCached…).
//
// These are left out:
//   - cached: WatchFromZero, CompactRevision and the ListFromCacheSnapshot=true
//     half of List. They shorten the cache's history through private fields of the
//     cacher, which is possible in the library's own package only.
//   - cached: ListInconsistentContinuation, ListResourceVersionMatch,
//     GuaranteedUpdate, GuaranteedUpdateChecksStoredData, TransformationFailure,
//     WatchError, WatchContextCancel, GetListWithErrorAggregation and
//     …WithoutErrorAggregation, WatchWithUnsafeDelete, WatchErrorIsBlocking….
//     The library does not run them on its cacher either.
//   - cached: ProgressNotify. It tests etcd's own notifications.
//   - uncached: OptionalWatchBookmarksWithCorrectResourceVersion. It needs the
//     cacher's bookmarks.

type suiteFunc = func(ctx context.Context, t *testing.T, store storage.Interface)

// plain has the functions that need only a store.
var plain = map[string]suiteFunc{
	"CreateWithTTL":                             suite.RunTestCreateWithTTL,
	"CreateWithKeyExist":                        suite.RunTestCreateWithKeyExist,
	"UnconditionalDelete":                       suite.RunTestUnconditionalDelete,
	"ConditionalDelete":                         suite.RunTestConditionalDelete,
	"DeleteWithSuggestion":                      suite.RunTestDeleteWithSuggestion,
	"DeleteWithSuggestionAndConflict":           suite.RunTestDeleteWithSuggestionAndConflict,
	"DeleteWithConflict":                        suite.RunTestDeleteWithConflict,
	"DeleteWithSuggestionOfDeletedObject":       suite.RunTestDeleteWithSuggestionOfDeletedObject,
	"ValidateDeletionWithSuggestion":            suite.RunTestValidateDeletionWithSuggestion,
	"ValidateDeletionWithOnlySuggestionValid":   suite.RunTestValidateDeletionWithOnlySuggestionValid,
	"PreconditionalDeleteWithSuggestion":        suite.RunTestPreconditionalDeleteWithSuggestion,
	"PreconditionalDeleteWithOnlySuggestion":    suite.RunTestPreconditionalDeleteWithOnlySuggestionPass,
	"GetListRecursivePrefix":                    suite.RunTestGetListRecursivePrefix,
	"GuaranteedUpdateWithTTL":                   suite.RunTestGuaranteedUpdateWithTTL,
	"GuaranteedUpdateWithConflict":              suite.RunTestGuaranteedUpdateWithConflict,
	"GuaranteedUpdateWithSuggestionAndConflict": suite.RunTestGuaranteedUpdateWithSuggestionAndConflict,
	"ListPaging":                                suite.RunTestListPaging,
	"KeySchema":                                 suite.RunTestKeySchema,
	"Watch":                                     suite.RunTestWatch,
	"DeleteTriggerWatch":                        suite.RunTestDeleteTriggerWatch,
	"WatchFromNonZero":                          suite.RunTestWatchFromNonZero,
	"DelayedWatchDelivery":                      suite.RunTestDelayedWatchDelivery,
	"WatcherTimeout":                            suite.RunTestWatcherTimeout,
	"WatchDeleteEventObjectHaveLatestRV":        suite.RunTestWatchDeleteEventObjectHaveLatestRV,
	"WatchInitializationSignal":                 suite.RunTestWatchInitializationSignal,
	"SendInitialEventsBackwardCompatibility":    suite.RunSendInitialEventsBackwardCompatibility,
	"DeleteWithSuggestionAndMissingExpectedTransformOrDecodeError": func(ctx context.Context, t *testing.T, s storage.Interface) {
		suite.RunTestDeleteWithSuggestionAndMissingExpectedTransformOrDecodeError(ctx, t, s)
	},
}

// gated has the functions that set a feature gate, which the whole process shares.
var gated = map[string]suiteFunc{
	"WatchSemantics":                     suite.RunWatchSemantics,
	"WatchSemanticInitialEventsExtended": suite.RunWatchSemanticInitialEventsExtended,
	"WatchListMatchSingle":               suite.RunWatchListMatchSingle,
}

func inParallel(t *testing.T, name string, run func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		run(t)
	})
}

func TestStore(t *testing.T) {
	for name, run := range plain {
		inParallel(t, name, func(t *testing.T) { run(t.Context(), t, uncached(t)) })
	}
	for name, run := range map[string]suiteFunc{
		"ClusterScopedWatch":   suite.RunTestClusterScopedWatch,
		"NamespaceScopedWatch": suite.RunTestNamespaceScopedWatch,
		"NamespaceScopedList":  suite.RunTestNamespaceScopedList,
		"WatchContextCancel":   suite.RunTestWatchContextCancel,
	} {
		inParallel(t, name, func(t *testing.T) { run(t.Context(), t, uncached(t)) })
	}
	for name, run := range map[string]func(t *testing.T, s *stack){
		"Create":           func(t *testing.T, s *stack) { suite.RunTestCreate(t.Context(), t, s, s.stored) },
		"GuaranteedUpdate": func(t *testing.T, s *stack) { suite.RunTestGuaranteedUpdate(t.Context(), t, s, s.stored) },
		"GuaranteedUpdateChecksStoredData": func(t *testing.T, s *stack) {
			suite.RunTestGuaranteedUpdateChecksStoredData(t.Context(), t, s)
		},
		"TransformationFailure": func(t *testing.T, s *stack) { suite.RunTestTransformationFailure(t.Context(), t, s) },
		"List":                  func(t *testing.T, s *stack) { suite.RunTestList(t.Context(), t, s, s.compact, false, s.lists) },
		"ConsistentList": func(t *testing.T, s *stack) {
			suite.RunTestConsistentList(t.Context(), t, s, s.increaseRevision, false, true, false)
		},
		"GetListNonRecursive": func(t *testing.T, s *stack) { suite.RunTestGetListNonRecursive(t.Context(), t, s.increaseRevision, s) },
		"CompactRevision": func(t *testing.T, s *stack) {
			suite.RunTestCompactRevision(t.Context(), t, s, s.increaseRevision, s.compact)
		},
		"ListContinuation":         func(t *testing.T, s *stack) { suite.RunTestListContinuation(t.Context(), t, s, s.calls) },
		"ListContinuationFilter":   func(t *testing.T, s *stack) { suite.RunTestListContinuationWithFilter(t.Context(), t, s, s.calls) },
		"ListInconsistent":         func(t *testing.T, s *stack) { suite.RunTestListInconsistentContinuation(t.Context(), t, s, s.compact) },
		"ListResourceVersionMatch": func(t *testing.T, s *stack) { suite.RunTestListResourceVersionMatch(t.Context(), t, s) },
		"Stats":                    func(t *testing.T, s *stack) { suite.RunTestStats(t.Context(), t, s, s.codec, s.transformer, false) },
		"WatchFromZero":            func(t *testing.T, s *stack) { suite.RunTestWatchFromZero(t.Context(), t, s, s.compact) },
		"WatchError":               func(t *testing.T, s *stack) { suite.RunTestWatchError(t.Context(), t, s) },
		"WatchErrorIsBlocking":     func(t *testing.T, s *stack) { suite.RunWatchErrorIsBlockingFurtherEvents(t.Context(), t, s) },
		"WatchWithUnsafeDelete":    func(t *testing.T, s *stack) { suite.RunTestWatchWithUnsafeDelete(t.Context(), t, s, corruptError(t)) },
	} {
		inParallel(t, name, func(t *testing.T) { run(t, uncached(t)) })
	}
	inParallel(t, "StatsWithSizes", func(t *testing.T) {
		s := uncached(t, func(o *setup) { o.estimateSizes = true })
		suite.RunTestStats(t.Context(), t, s, s.codec, s.transformer, true)
	})
	inParallel(t, "GetListWithErrorAggregation", func(t *testing.T) {
		suite.RunTestGetListWithErrorAggregation(t.Context(), t, uncached(t, deletingMalformed), corruptError(t))
	})
	inParallel(t, "ProgressNotify", func(t *testing.T) {
		s := uncached(t, notifying)
		suite.RunOptionalTestProgressNotify(t.Context(), t, s, s.increaseRevision)
	})
	inParallel(t, "WatchDispatchBookmarkEvents", func(t *testing.T) {
		suite.RunTestWatchDispatchBookmarkEvents(t.Context(), t, uncached(t, notifying), false)
	})
	inParallel(t, "DeleteWithConflictAndMissingExpectedDecodeError", func(t *testing.T) {
		codec := &failing{Codec: jsonCodec()}
		suite.RunTestDeleteWithConflictAndMissingExpectedTransformOrDecodeError(t.Context(), t, uncached(t, withCodec(codec)), codec.fail.Store)
	})
	inParallel(t, "DeleteExpectedTransformError", func(t *testing.T) {
		transformer := failingTransformer()
		suite.RunTestDeleteExpectedTransformOrDecodeError(t.Context(), t, uncached(t, withTransformer(transformer)), transformer.fail.Store)
	})
	inParallel(t, "DeleteExpectedDecodeError", func(t *testing.T) {
		codec := &failing{Codec: jsonCodec()}
		suite.RunTestDeleteExpectedTransformOrDecodeError(t.Context(), t, uncached(t, withCodec(codec)), codec.fail.Store)
	})
}

// TestStoreAlone runs functions that set a feature gate one by one, and Get, which reads an
// object with a TTL of a second.
func TestStoreAlone(t *testing.T) {
	for name, run := range gated {
		t.Run(name, func(t *testing.T) { run(t.Context(), t, uncached(t)) })
	}
	t.Run("Get", func(t *testing.T) { suite.RunTestGet(t.Context(), t, uncached(t)) })
	t.Run("ListPaginationRareObject", func(t *testing.T) {
		featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.ListFromCacheSnapshot, false)
		s := uncached(t)
		suite.RunTestListPaginationRareObject(t.Context(), t, s, s.calls)
	})
	t.Run("GetListWithoutErrorAggregation", func(t *testing.T) {
		featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.AllowUnsafeMalformedObjectDeletion, false)
		suite.RunTestGetListWithoutErrorAggregation(t.Context(), t, uncached(t), corruptError(t))
	})
	t.Run("WithoutRangeStream", func(t *testing.T) {
		featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.EtcdRangeStream, false)
		t.Run("List", func(t *testing.T) {
			s := uncached(t)
			suite.RunTestList(t.Context(), t, s, s.compact, false, s.lists)
			if n := s.reads.GetStreamReadsAndReset(); n > 0 {
				t.Errorf("%d streams", n)
			}
		})
		t.Run("ConsistentList", func(t *testing.T) {
			s := uncached(t)
			suite.RunTestConsistentList(t.Context(), t, s, s.increaseRevision, false, true, false)
		})
		t.Run("WatchSemantics", func(t *testing.T) { suite.RunWatchSemantics(t.Context(), t, uncached(t)) })
	})
}

func TestCached(t *testing.T) {
	for name, run := range plain {
		inParallel(t, name, func(t *testing.T) { run(t.Context(), t, cachedStack(t)) })
	}
	for name, run := range map[string]func(t *testing.T, s *stack){
		"Create": func(t *testing.T, s *stack) { suite.RunTestCreate(t.Context(), t, s, notChecked) },
		"ConsistentList": func(t *testing.T, s *stack) {
			suite.RunTestConsistentList(t.Context(), t, s, s.increaseRevision, true, true, true)
		},
		"GetListNonRecursive": func(t *testing.T, s *stack) { suite.RunTestGetListNonRecursive(t.Context(), t, s.increaseRevision, s) },
		"ListContinuation":    func(t *testing.T, s *stack) { suite.RunTestListContinuation(t.Context(), t, s, s.callsAnything) },
		"ListPaginationRare": func(t *testing.T, s *stack) {
			suite.RunTestListPaginationRareObject(t.Context(), t, s, s.callsAnything)
		},
		"ListContinuationFilter": func(t *testing.T, s *stack) {
			suite.RunTestListContinuationWithFilter(t.Context(), t, s, s.callsAnything)
		},
		"WatchDispatchBookmarks": func(t *testing.T, s *stack) { suite.RunTestWatchDispatchBookmarkEvents(t.Context(), t, s, true) },
		"WatchBookmarksRevision": func(t *testing.T, s *stack) {
			suite.RunTestOptionalWatchBookmarksWithCorrectResourceVersion(t.Context(), t, s)
		},
		"Stats": func(t *testing.T, s *stack) { suite.RunTestStats(t.Context(), t, s, s.codec, s.transformer, true) },
	} {
		inParallel(t, name, func(t *testing.T) { run(t, cachedStack(t)) })
	}
	inParallel(t, "NamespaceScopedList", func(t *testing.T) { suite.RunTestNamespaceScopedList(t.Context(), t, cachedStack(t, indexed)) })
	inParallel(t, "NamespaceScopedWatch", func(t *testing.T) { suite.RunTestNamespaceScopedWatch(t.Context(), t, cachedStack(t, indexed)) })
	inParallel(t, "ClusterScopedWatch", func(t *testing.T) {
		suite.RunTestClusterScopedWatch(t.Context(), t, cachedStack(t, clusterScoped, indexed))
	})
	inParallel(t, "DeleteWithConflictAndMissingExpectedTransformError", func(t *testing.T) {
		transformer := failingTransformer()
		suite.RunTestDeleteWithConflictAndMissingExpectedTransformOrDecodeError(t.Context(), t, cachedStack(t, withTransformer(transformer)),
			transformer.fail.Store)
	})
	inParallel(t, "DeleteExpectedTransformError", func(t *testing.T) {
		transformer := failingTransformer()
		suite.RunTestDeleteExpectedTransformOrDecodeError(t.Context(), t, cachedStack(t, withTransformer(transformer)), transformer.fail.Store)
	})
}

// TestCachedAlone is TestStoreAlone with a watch cache.
func TestCachedAlone(t *testing.T) {
	for name, run := range gated {
		t.Run(name, func(t *testing.T) { run(t.Context(), t, seenByCache{cachedStack(t)}) })
	}
	t.Run("Get", func(t *testing.T) { suite.RunTestGet(t.Context(), t, cachedStack(t)) })
	t.Run("WithoutSnapshots", func(t *testing.T) {
		featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.ListFromCacheSnapshot, false)
		t.Run("List", func(t *testing.T) {
			s := cachedStack(t)
			suite.RunTestList(t.Context(), t, s, s.compact, true, s.lists)
		})
		t.Run("ConsistentList", func(t *testing.T) {
			s := cachedStack(t)
			suite.RunTestConsistentList(t.Context(), t, s, s.increaseRevision, true, true, false)
		})
		t.Run("GetListNonRecursive", func(t *testing.T) {
			s := cachedStack(t)
			suite.RunTestGetListNonRecursive(t.Context(), t, s.increaseRevision, s)
		})
	})
	t.Run("StatsWithoutSizes", func(t *testing.T) {
		featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.SizeBasedListCostEstimate, false)
		s := cachedStack(t)
		suite.RunTestStats(t.Context(), t, s, s.codec, s.transformer, false)
	})
	t.Run("DeleteExpectedDecodeError", func(t *testing.T) {
		// The watch receives bytes that cannot be decoded.
		etcd3.TestOnlySetFatalOnDecodeError(t, false)
		codec := &failing{Codec: jsonCodec()}
		suite.RunTestDeleteExpectedTransformOrDecodeError(t.Context(), t, cachedStack(t, withCodec(codec)), codec.fail.Store)
	})
}

// TestSuiteWritesPlans checks that plans reach the transactions, which the suite does not
// notice.
func TestSuiteWritesPlans(t *testing.T) {
	s := uncached(t)
	const key = "/pods/ns/foo"
	pod := &example.Pod{ObjectMeta: metav1.ObjectMeta{Name: "foo", Namespace: "ns"}}
	if err := s.Create(t.Context(), key, pod, &example.Pod{}, 0); err != nil {
		t.Fatal(err)
	}
	s.stored(t.Context(), t, key)
	if err := s.GuaranteedUpdate(t.Context(), key, &example.Pod{}, false, nil,
		storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
			obj.(*example.Pod).Labels = map[string]string{"a": "b"}
			return obj, nil
		}), nil); err != nil {
		t.Fatal(err)
	}
	s.stored(t.Context(), t, key)
	if err := s.Delete(t.Context(), key, &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	left, err := s.client.Get(t.Context(), "/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	if len(left.Kvs) > 0 {
		t.Errorf("left behind: %v", left.Kvs)
	}
}
